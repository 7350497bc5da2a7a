"""Every rule on the texts that real tools print, and on facts that bear them out or contradict them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from learner.models import ExecutionResult, FailureType
from learner.triage.case import Case
from learner.triage.rules import all_rules, judge, table, verdicts
from tests.triage.cases import case, done, failed, runbook, step, unverified_claim, worked
from tests.triage.test_causes import CAUSES, ORDINARY
from tests.triage.test_causes import run as run_of

DEBIAN = {"os_id": "debian", "os_version": "12", "service_manager": "systemd"}
RHEL = {"os_id": "rhel", "os_version": "9", "service_manager": "systemd"}
ON_DEBIAN = tuple(worked(i, host=DEBIAN) for i in range(3))


def ran(error: str, action: str = "run_command", **more: Any) -> ExecutionResult:
    """A failed command; `argv`, `exit_code` and the like go to the step, the rest to the result."""
    of_step = {key: more.pop(key) for key in ("exit_code", "timed_out", "duration_seconds", "attempts") if key in more}
    params = more.pop("params", None)
    return failed(error, action, step_more=of_step | ({"params": params} if params is not None else {}), **more)


def state(**facts: Any) -> dict[str, Any]:
    return {"services": {"web": "failed"}} | facts


UP = {"services": {"web": "running"}}

PERMISSION = {
    "nginx below 1024": ran("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", "start_service"),
    "dpkg lock without rights": ran(
        "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\n"
        "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?"
    ),
    "polkit": ran("Failed to start web.service: Interactive authentication required.", "start_service"),
    "sudo": ran("sudo: a password is required"),
    "sudoers": ran("deploy is not in the sudoers file.  This incident will be reported."),
    "python": ran("PermissionError: [Errno 13] Permission denied: '/run/web/web.pid'"),
    "chown": ran("chown: changing ownership of '/srv/app': Operation not permitted", "set_permissions"),
    "docker socket": ran("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"),
    "certbot": ran("The following error was encountered:\n[Errno 13] Permission denied: '/var/log/letsencrypt/.certbot.lock'\n"
                   "Either run as root, or set --config-dir, --work-dir, and --logs-dir to writeable paths."),
    "postgres password": ran('psql: error: connection to server at "localhost" (::1), port 5432 failed: FATAL:  password authentication failed for user "app"'),
    "postgres hba": ran('FATAL:  no pg_hba.conf entry for host "10.0.0.5", user "app", database "app", no encryption'),
    "postgres data directory": ran('FATAL:  data directory "/var/lib/postgresql/15/main" has invalid permissions\nDETAIL:  Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).', "start_service"),
    "redis": ran("NOAUTH Authentication required."),
    "mysql": ran("ERROR 1045 (28000): Access denied for user 'app'@'localhost' (using password: YES)"),
    "ssh key": ran("git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository."),
    "windows access": ran("Start-Service : Cannot open W3SVC service on computer '.'.\n    + FullyQualifiedErrorId : CouldNotStartService\nSystem.ComponentModel.Win32Exception: Access is denied", "start_service"),
    "windows sc": ran("[SC] OpenService FAILED 5:\n\nAccess is denied.", "start_service"),
    "windows logon": ran("[SC] StartService FAILED 1069:\n\nThe service did not start due to a logon failure.", "start_service"),
    "powershell policy": ran("File C:\\fix.ps1 cannot be loaded because running scripts is disabled on this system."),
    "selinux": ran('type=AVC msg=audit(1): avc:  denied  { name_bind } for  pid=1 comm="nginx" src=8081', "start_service"),
    "crontab": ran("You (deploy) are not allowed to use this program (crontab)"),
    "api key": ran("curl: (22) The requested URL returned error: 401", params={"argv": ["curl", "-f", "https://api.example.com"]}),
    "a missing directory beside it": ran(
        "mkdir: cannot create directory '/run/web': Permission denied\nnginx: [emerg] open() \"/run/web/web.pid\" failed (2: No such file or directory)", "start_service"
    ),
    "a stale pid file beside it": ran("pidfile /run/web/web.pid exists, is another instance running?\nrm: cannot remove '/run/web/web.pid': Permission denied", "start_service"),
    "kubernetes": ran('Error from server (Forbidden): deployments.apps "shop" is forbidden: User "system:serviceaccount:ops:runner" cannot patch resource "deployments" in API group "apps"'),
    "german": ran("cp: reguläre Datei '/etc/app.conf' kann nicht angelegt werden: Keine Berechtigung"),
    "german windows": ran("[SC] OpenService FEHLER 5:\n\nZugriff verweigert"),
    "french": ran("cp: impossible de créer le fichier standard '/etc/haproxy/haproxy.cfg': Permission non accordée"),
    "japanese": ran("cp: '/etc/app.conf' を開けません: 許可がありません"),
    "an unreachable host beside it": ran("curl: (7) Failed to connect to api.example.com port 443: Connection refused\nPermission denied"),
}  # fmt: skip

OUTSIDE = {
    "postgres elsewhere": ran('connection to server at "db.internal" (10.0.0.9), port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?'),
    "curl, name": ran("curl: (6) Could not resolve host: api.example.com"),
    "curl, refused": ran("curl: (7) Failed to connect to api.example.com port 443 after 12 ms: Couldn't connect to server"),
    "curl, 503 by its arguments": ran("curl: (22) The requested URL returned error: 503", params={"argv": ["curl", "-fsS", "https://api.example.com/v1"]}),
    "http step": ran("https://api.example.com/v1: 503, not 200", "check_http", params={"url": "https://api.example.com/v1"}),
    "apt, name": ran("W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.debian.org'"),
    "apt, mirror down": ran("E: Failed to fetch http://deb.debian.org/debian/pool/n/nginx.deb  503  Service Unavailable [IP: 151.101.2.132 80]"),
    "apt, out of step": ran("E: Failed to fetch http://deb.debian.org/x/Packages.xz  Hash Sum mismatch"),
    "yum": ran("Cannot find a valid baseurl for repo: base/7/x86_64"),
    "dnf": ran("Error: Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist: Curl error (6): Couldn't resolve host name for https://mirrors.example.org/x"),
    "docker hub": ran("toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading"),
    "registry": ran('Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout'),
    "ssh": ran("ssh: connect to host backup.example.com port 22: Connection timed out"),
    "rsync": ran("rsync: failed to connect to backup.example.com (203.0.113.9): No route to host (113)\nrsync error: error in socket IO (code 10) at clientserver.c(127)"),
    "acme": ran("Detail: 203.0.113.7: Fetching http://example.com/.well-known/acme-challenge/x: Timeout during connect (likely firewall problem)", "renew_certificate", params={"name": "example.com"}),
    "acme, limit": ran("Error creating new order :: too many certificates (5) already issued for this exact set of domains in the last 168 hours", "renew_certificate"),
    "acme, name": ran("DNS problem: NXDOMAIN looking up A for www.example.com - check that a DNS record exists for this domain", "renew_certificate"),
    "ntp": ran("22 Nov 05:00:01 ntpdate[812]: no server suitable for synchronization found", "sync_time"),
    "w32tm": ran("Sending resync command to local computer\nThe computer did not resync because no time data was available.", "sync_time"),
    "nginx upstream's name": ran('nginx: [emerg] host not found in upstream "backend.example.com" in /etc/nginx/conf.d/app.conf:12\nnginx: configuration file /etc/nginx/nginx.conf test failed', "start_service"),
    "nginx upstream": ran('connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://10.0.0.5:8080/"'),
    "windows name": ran("Invoke-WebRequest : The remote name could not be resolved: 'api.example.com'"),
    "rsync, too many": ran("@ERROR: max connections (4) reached -- try again later"),
    "a licence manager's port@host": ran("cad: could not connect to license server 27000@lic.example.com: Connection timed out (110)", "start_service"),
    "the very address of the incident, elsewhere": ran(
        "https://sms.vendor.example/health: 503, not 200", "check_http", incident_type="endpoint_down", params={"url": "https://sms.vendor.example/health"},
        parameters={"url": "https://sms.vendor.example/health"}, state_before={}, state_after={},
    ),
    "resolver silent": ran(";; communications error to 10.0.0.53#53: timed out\n;; no servers could be reached", "resolve_dns", incident_type="dns_failure", params={"name": "example.com"}),
    "python": ran("requests.exceptions.ConnectionError: HTTPSConnectionPool(host='api.example.com', port=443): Max retries exceeded with url: https://api.example.com/ (Caused by NewConnectionError('[Errno 101] Network is unreachable'))"),
    "mysql": ran("ERROR 2003 (HY000): Can't connect to MySQL server on 'db01.internal:3306' (111)"),
    "mysql, name": ran("ERROR 2005 (HY000): Unknown MySQL server host 'db01.internal' (-2)"),
    "psql, name": ran('psql: error: could not translate host name "db.prod.internal" to address: Name or service not known'),
    "pip": ran("ReadTimeoutError: HTTPSConnectionPool(host='pypi.org', port=443): Read timed out."),
    "ssh, at the door": ran("kex_exchange_identification: Connection closed by remote host\nConnection closed by 203.0.113.5 port 22"),
    "powershell, port": ran("WARNING: TCP connect to (10.0.0.7 : 1433) failed"),
    "nfs": ran("mount.nfs: Connection timed out for nas.example.com:/export", params={}),
    "nfs, by its arguments": ran("mount.nfs4: Connection timed out", params={"argv": ["mount", "-t", "nfs4", "nas.internal:/vol", "/mnt"]}),
}  # fmt: skip

ROOMY = {"disk": {"usage_percent": 30, "mounts": {"/": {"usage_percent": 30, "inodes_percent": 5}}}}
INSUFFICIENT = {
    ("shut_after_full_disk", "elasticsearch"): ran(
        "curl: (22) The requested URL returned error: 403\nblocked by: [FORBIDDEN/12/index read-only / allow delete (api)]"),
    ("limit_not_disk", "apache"): failed(
        "[core:emerg] (28)No space left on device: AH00023: Couldn't create the rewrite-map mutex", state_before=state(**ROOMY)),
    ("limit_not_disk", "node"): failed(
        "Error: ENOSPC: System limit for number of file watchers reached, watch '/srv/app'", state_before=state(**ROOMY)),
    ("rotation_distrusts", "logrotate"): ran(
        'error: skipping "/var/log/app/app.log" because parent directory has insecure permissions (It\'s world writable or writable by group which is not "root")',
        "rotate_logs", params={}, incident_type="disk_full"),
    ("volume_without_file_system", "lvm"): unverified_claim(
        "disk_usage_below", 96, {"path": "/var", "percent": 85}, incident_type="disk_full",
        steps=[done("run_command", argv=["lvextend", "-L", "+5G", "/dev/vg0/var"])],
        state_before={"disk": {"usage_percent": 30, "mounts": {"/var": {"usage_percent": 96}}}}),
    ("its_daemon_runs", "chronyd"): ran(
        "Fatal error : Another chronyd may already be running (pid=612), check /run/chrony/chronyd.pid", params={"argv": ["chronyd", "-q"]},
        incident_type="time_drift", state_before={"services": {"chronyd": "running"}, "processes": {"chronyd": 1}}),
    ("host_setting_refused", "kubelet"): failed('err="failed to run Kubelet: running with swap on is not supported, please disable swap!"'),
    ("host_setting_refused", "elasticsearch"): failed(
        "bootstrap check failure [1] of [1]: max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]"),
    ("changed_meanwhile", "rsync"): ran("rsync warning: some files vanished before they could be transferred (code 24) at main.c(1338) [sender=3.2.7]"),
    ("changed_meanwhile", "tar"): ran("tar: /var/lib/app/state.db: file changed as we read it"),
    ("looked_too_early", "rabbitmq"): failed(
        steps=[done("restart_service", name="web"),
               step("Error: unable to perform an operation on node 'rabbit@mq-4'.\nConsult https://rabbitmq.com/documentation.html to learn more\n"
                    "epmd reports: node 'rabbit' not running at all", "run_command", step_number=2, params={"argv": ["rabbitmqctl", "list_queues"]})],
        state_before={"services": {"web": "failed"}, "ports": {"5672": "closed"}},
        state_after={"services": {"web": "running"}, "ports": {"5672": "listening"}}),
    ("verification_too_early", "postgres, by its log"): unverified_claim(
        "command_succeeds", 1, {"argv": ["pg_isready"]}, waited=2,
        steps=[done("start_service", name="web"),
               done("run_command", 2, argv=["journalctl", "-u", "web", "-n", "3"]) | {"output": "LOG:  automatic recovery in progress\nFATAL:  the database system is starting up"}]),
    ("not_idempotent", "net stop"): ran("The Print Spooler service is not started.\r\n\r\nMore help is available by typing NET HELPMSG 3521."),
    ("not_idempotent", "launchd"): ran("Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors."),
    ("packages_half_done", "in german"): ran("E: Der dpkg-Prozess wurde unterbrochen; Sie müssen manuell »dpkg --configure -a« ausführen"),
    ("stale_pid_file", "an application"): failed("web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?"),
    ("stale_pid_file", "postgres"): failed('FATAL:  lock file "postmaster.pid" already exists\nHINT:  Is another postmaster (PID 123) running in data directory "/var/lib/postgresql/15/main"?'),
    ("stale_pid_file", "cron"): failed("cron: can't lock /var/run/crond.pid, otherpid may be 812: Resource temporarily unavailable"),
    ("stale_pid_file", "chrony"): failed("Fatal error : Another chronyd may already be running (pid=713), check lockfile /run/chrony/chronyd.pid"),
    ("stale_pid_file", "puma"): failed("A server is already running. Check /srv/app/tmp/pids/server.pid."),
    ("resolver_remembers", "dig"): unverified_claim(
        "dns_resolves", False, {"name": "api.example.com"}, incident_type="dns_failure",
        steps=[done("run_command", argv=["dig", "+short", "@9.9.9.9", "api.example.com"]) | {"output": "192.0.2.17"}],
    ),
    ("backup_keeps_too_much", "tar"): ran(
        "tar: /backup/home.tar.gz: Wrote only 4096 of 10240 bytes\ngzip: stdout: No space left on device", params={"argv": ["tar", "-czf", "/backup/home.tar.gz", "/home"]},
        incident_type="backup_failure", state_before={"disk": {"usage_percent": 30, "mounts": {"/backup": {"usage_percent": 100}}}},
    ),
    ("start_timeout_too_short", "a dump that grew"): ran(
        "timed out after 120 s", timed_out=True, duration_seconds=120.0, params={"argv": ["pg_dump", "-f", "/backup/db.dump", "orders"]},
        state_before={"files": {"/backup/db.dump": {"size_bytes": 90}}}, state_after={"files": {"/backup/db.dump": {"size_bytes": 9_000_000}}},
    ),
    ("start_timeout_too_short", "a stop that came late"): ran(
        "timed out after 20 s", "stop_service", timed_out=True, duration_seconds=20.0, params={"name": "web"}, state_before=UP, state_after={"services": {"web": "stopped"}},
    ),
    ("used_while_starting", "docker"): ran("Error response from daemon: Container 4f66ad9a0b2e is restarting, wait until the container is running"),
    ("stale_lock", "git"): ran("fatal: Unable to create '/srv/app/.git/index.lock': File exists."),
    ("stale_lock", "mongod"): failed("Unable to lock the lock file: /data/db/mongod.lock (Resource temporarily unavailable). Another mongod instance is already running on the /data/db directory"),
    ("stale_lock", "certbot"): ran("Another instance of Certbot is already running.", "renew_certificate"),
    ("stale_socket", "supervisor"): failed("Error: Another program is already listening on a port that one of our HTTP servers is configured to use: unix:///run/supervisor.sock address already in use"),
    ("stale_dns_answer", "a cached no"): ran("db.internal: cached NXDOMAIN, name or service not known", "resolve_dns", params={"name": "db.internal"}, incident_type="dns_failure"),
    ("stale_lock", "sqlite"): ran("Error: database is locked", exit_code=5),
    ("looked_too_early", "a name that came back"): ran("db.internal: name or service not known", "resolve_dns", params={"name": "db.internal"}, state_after={"dns": {"db.internal": True}}),
    ("started_again", "by its service"): unverified_claim("process_absent", 2, {"name": "worker"}, steps=[done("kill_process", name="worker", signal="KILL")], parameters={"service": "worker"}, incident_type="process_hung", state_before={"services": {"worker": "running"}}, state_after={"processes": {"worker": 2}}),
    ("own_text_wrong", "a pause too long"): ran("90 s do not fit into the step's timeout", "wait", timed_out=True),
    ("not_idempotent", "stopping what is stopped"): ran("stop: Unknown instance: importer", "stop_service"),
    ("missing_directory", "beneath what is written"): ran("[Errno 2] No such file or directory: '/etc/app/conf.d/limits.conf'", "write_file", params={"path": "/etc/app/conf.d/limits.conf", "content": "x"}),
    ("missing_directory", "pid in /run"): failed('nginx: [emerg] open() "/run/web/web.pid" failed (2: No such file or directory)'),
    ("missing_directory", "seen in the state"): failed("cannot open /srv/app/cache/index: No such file or directory", state_before=state(files={"/srv/app/cache": {"exists": False}})),
    ("missing_directory", "redis"): failed("*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 504\n>>> 'dir /var/lib/redis'\nCan't chdir to '/var/lib/redis': No such file or directory"),
    ("missing_directory", "systemd"): failed("web.service: Main process exited, code=exited, status=200/CHDIR"),
    ("missing_directory", "postgres"): failed('FATAL:  could not create lock file "/var/run/postgresql/.s.PGSQL.5432.lock": No such file or directory'),
    ("missing_directory", "dash"): ran("sh: 1: cannot create /var/log/app/job.log: Directory nonexistent"),
    ("missing_file", "with a backup"): failed("cannot open /etc/web/web.conf: No such file or directory", state_before=state(files={"/etc/web/web.conf": {"exists": False}, "/etc/web/web.conf.learner-backup": {"exists": True}, "/etc/web": {"exists": True}})),
    ("missing_tool", "dash"): ran("sh: 1: jq: not found", "run_script", exit_code=127),
    ("missing_tool", "bash"): ran("bash: line 1: lsof: command not found", "run_script", exit_code=127),
    ("missing_tool", "docker"): ran('OCI runtime exec failed: exec: "curl": executable file not found in $PATH: unknown'),
    ("missing_tool", "powershell"): ran("choco : The term 'choco' is not recognized as the name of a cmdlet, function, script file, or operable program."),
    ("missing_tool", "systemd"): failed("web.service: Main process exited, code=exited, status=203/EXEC"),
    ("stopped_dependency", "named by the error"): failed("redis.exceptions.ConnectionError: Error 111 connecting to 127.0.0.1:6379. Connection refused.", state_before=state(services={"web": "failed", "redis-server": "stopped"})),
    ("stopped_dependency", "given by a parameter"): failed("api: could not connect to backend 127.0.0.1:39949: Connection refused", "restart_service", step_more={"params": {"name": "api"}}, parameters={"port": 8080, "backend": "db"}, state_before={"services": {"api": "stopped", "db": "failed"}}, state_after={"services": {"api": "failed", "db": "failed"}}),
    ("stopped_dependency", "by its port alone"): failed("Could not connect to Redis at 127.0.0.1:6379: Connection refused"),
    ("stopped_dependency", "postgres socket"): failed('connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed: No such file or directory\n\tIs the server running locally and accepting connections on that socket?'),
    ("stopped_dependency", "systemd"): failed("A dependency job for web.service failed. See 'journalctl -xe' for details."),
    ("stopped_dependency", "docker"): ran("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    ("stopped_dependency", "chrony"): ran("506 Cannot talk to daemon", "sync_time", state_before={"services": {"chronyd": "stopped"}}, parameters={}),
    ("stopped_dependency", "resolver"): ran("curl: (6) Could not resolve host: api.example.com", state_before=state(services={"web": "failed", "systemd-resolved": "failed"})),
    ("stopped_dependency", "php"): ran("connect() to unix:/run/php/php8.2-fpm.sock failed (2: No such file or directory) while connecting to upstream", state_before=state(services={"web": "running", "php8.2-fpm": "failed"}), incident_type="endpoint_down"),
    ("stopped_dependency", "windows"): failed("[SC] StartService FAILED 1068:\n\nThe dependency service or group failed to start."),
    ("stopped_dependency", "bad gateway"): unverified_claim("http_ok", 502, {"url": "http://127.0.0.1:8080/"}, state_before=state(services={"web": "failed", "api": "stopped"}), state_after={"services": {"web": "running", "api": "stopped"}}),
    ("port_taken", "nginx"): failed("nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)"),
    ("port_taken", "go, seen listening"): failed("listen tcp :8080: bind: address already in use", state_before=state(ports={"8080": "listening"})),
    ("port_taken", "docker"): ran("Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use."),
    ("port_taken", "redis"): failed("Could not create server TCP listening socket *:6379: bind: Address already in use"),
    ("port_taken", "node"): failed("Error: listen EADDRINUSE: address already in use :::3000"),
    ("port_taken", "certbot"): ran("Problem binding to port 80: Could not bind to IPv4 or IPv6.", "renew_certificate"),
    ("port_taken", "windows"): failed("Only one usage of each socket address (protocol/network address/port) is normally permitted."),
    ("held_by_a_process", "umount"): ran("umount: /mnt/data: target is busy."),
    ("held_by_a_process", "windows"): ran("The process cannot access the file 'C:\\app\\app.log' because it is being used by another process."),
    ("ignores_polite_signal", "counted"): unverified_claim("process_absent", {"processes.worker": 1}, {"name": "worker"}, steps=[done("kill_process", name="worker")], state_after={"processes": {"worker": 1}}, incident_type="process_hung"),
    ("start_timeout_too_short", "up a moment later"): ran("timed out", "start_service", timed_out=True, state_after=UP, params={"name": "web"}),
    ("start_timeout_too_short", "systemd"): ran("Job for web.service failed because a timeout was exceeded.", "start_service", state_after=UP, params={"name": "web"}),
    ("start_timeout_too_short", "windows"): ran("[SC] StartService FAILED 1053:\n\nThe service did not respond to the start or control request in a timely fashion.", "start_service", state_after={}),
    ("start_timeout_too_short", "as long elsewhere"): (
        case(ran("port 8080 on 127.0.0.1 is not open", "wait_for_port", timed_out=True, duration_seconds=10.0, params={"port": 8080}, state_after=UP),
             successes=(worked(1, executed_steps=[{"step_number": 1, "step_id": "start", "action": "wait_for_port", "success": True, "duration_seconds": 9.1}]),))
    ),
    ("used_while_starting", "postgres"): ran("psql: error: FATAL:  the database system is starting up"),
    ("used_while_starting", "redis"): ran("LOADING Redis is loading the dataset in memory"),
    ("verification_too_early", "listening afterwards"): unverified_claim("port_open", "closed", {"port": 8080}, state_after=UP | {"ports": {"8080": "listening"}}),
    ("verification_too_early", "refused at once"): unverified_claim("http_ok", "connection refused", {"url": "http://127.0.0.1:8080/"}, state_after=UP),
    ("looked_too_early", "there a moment later"): ran("connect to 127.0.0.1 port 8080: Connection refused", "check_port", params={"port": 8080}, state_after=UP | {"ports": {"8080": "listening"}}),
    ("looked_too_early", "right after a start"): failed("http://127.0.0.1:8080/: connection refused, not 200", steps=[done("restart_service", name="web"), step("http://127.0.0.1:8080/: connection refused, not 200", "check_http", step_number=2, params={"url": "http://127.0.0.1:8080/"})], state_after=UP),
    ("inodes_exhausted", "beneath a crash"): failed("OSError: [Errno 28] No space left on device: '/var/lib/php/sessions/sess_0k2'", state_before=state(disk={"mounts": {"/": {"usage_percent": 20}, "/var": {"usage_percent": 41, "inodes_percent": 100}}})),
    ("race_after_restart", "systemd"): failed("web.service: Start request repeated too quickly."),
    ("race_after_restart", "windows"): failed("[SC] ControlService FAILED 1061:\n\nThe service cannot accept control messages at this time."),
    ("package_manager_locked", "apt"): ran("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (apt-get)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?"),
    ("package_manager_locked", "yum"): ran("Another app is currently holding the yum lock; waiting for it to exit..."),
    ("package_manager_locked", "zypper"): ran("System management is locked by the application with pid 1234 (zypper)."),
    ("packages_half_done", "dpkg"): ran("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem."),
    ("package_tool_asks", "debconf"): ran("debconf: unable to initialize frontend: Dialog\ndpkg: error processing package openssl (--configure): end of file on stdin at conffile prompt", exit_code=100),
    ("package_lists_old", "apt"): ran("E: Failed to fetch http://deb.debian.org/debian/pool/n/nginx_1.deb  404  Not Found [IP: 151.101.2.132 80]\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?"),
    ("wrong_mount_cleaned", "/tmp for /var"): unverified_claim("disk_usage_below", 97, {"percent": 85, "path": "/var"}, steps=[done("clean_directory", path="/tmp", patterns=["*"])], incident_type="disk_full", state_before={"disk": {"mounts": {"/": {"usage_percent": 40}, "/var": {"usage_percent": 97}}}}, state_after={"disk": {"mounts": {"/": {"usage_percent": 39}, "/var": {"usage_percent": 97}}}}),
    ("inodes_exhausted", "space is there"): ran("touch: cannot touch '/srv/x': No space left on device", incident_type="disk_full", state_before={"disk": {"mounts": {"/": {"usage_percent": 40, "inodes_percent": 100}}}}),
    ("cleaned_too_little", "right mount"): unverified_claim("disk_usage_below", 96, {"percent": 85}, steps=[done("rotate_logs")], incident_type="disk_full", state_before={"disk": {"usage_percent": 97}}, state_after={"disk": {"usage_percent": 96}}),
    ("configuration_invalid", "nginx"): failed('nginx: [emerg] unknown directive "sevrer" in /etc/nginx/conf.d/app.conf:3\nnginx: configuration file /etc/nginx/nginx.conf test failed', "reload_service", step_more={"params": {"name": "web"}}),
    ("configuration_invalid", "apache"): failed("AH00526: Syntax error on line 12 of /etc/apache2/sites-enabled/app.conf:\nInvalid command 'Foo', perhaps misspelled or defined by a module not included", state_before={"services": {"web": "running"}}),
    ("configuration_invalid", "haproxy"): failed("[ALERT]    (8) : config : Fatal errors found in configuration."),
    ("written_but_not_read", "a drop-in"): unverified_claim(
        "command_succeeds", {"exit_code": 1}, {"argv": ["unit-has", "web", "MemoryMax=4G"]}, incident_type="memory_leak",
        steps=[done("write_file", path="/etc/systemd/system/web.service.d/limit.conf", content="[Service]\nMemoryMax=4G\n"), done("restart_service", 2, name="web")]),
    ("units_not_read_again", "systemd"): failed("Warning: The unit file, source configuration file or drop-ins of web.service changed on disk. Run 'systemctl daemon-reload' to reload units."),
    ("own_text_wrong", "a template"): ran("params: port is not defined", "wait_for_port", attempts=0),
    ("passed_when_tried_again", "later in the run"): failed("exit code 1", steps=[step("exit code 1", "run_command", params={"argv": ["./register"]}), done("run_command", 2, argv=["./register"])], error_step=1),
    ("passed_when_tried_again", "more tries elsewhere"): case(ran("exit code 1", attempts=1, params={"argv": ["./register"]}), successes=(worked(1, executed_steps=[done("run_command", argv=["./register"]) | {"step_id": "start", "attempts": 3}]),)),
    ("neighbour_down", "fell during the run"): unverified_claim("service_running", "failed", {"name": "web"}, state_before={"services": {"web": "failed", "queue": "running"}}, state_after={"services": {"web": "failed", "queue": "failed"}}),
    ("neighbour_down", "before and after"): unverified_claim("command_succeeds", 1, {"argv": ["./smoke-test"]}, state_before={"services": {"web": "failed", "queue": "stopped"}}, state_after={"services": {"web": "failed", "queue": "stopped"}}),
    ("verification_too_early", "gone for the restart"): unverified_claim("port_open", {"ports.8080": "closed"}, {"port": 8080}, steps=[done("restart_service", name="web")], incident_type="process_hung", state_before=UP | {"ports": {"8080": "listening"}}, state_after=UP | {"ports": {"8080": "listening"}}),
    ("not_idempotent", "mkdir"): ran("mkdir: cannot create directory ‘/srv/app’: File exists"),
    ("not_idempotent", "useradd"): ran("useradd: user 'app' already exists"),
    ("not_idempotent", "docker"): ran('docker: Error response from daemon: Conflict. The container name "/web" is already in use by container "3f4a9b2c1d0e". You have to remove (or rename) that container'),
    ("not_idempotent", "windows"): ran("System error 1056 has occurred.\n\nAn instance of the service is already running."),
    ("not_idempotent", "git"): ran("On branch main\nnothing to commit, working tree clean"),
    ("renewed_but_not_reloaded", "file against served"): unverified_claim("certificate_valid", 5, {"host": "web.example.com"}, steps=[done("renew_certificate", name="web.example.com")], incident_type="cert_expiry", state_before={}, state_after={"certificates": {"/etc/letsencrypt/live/x/fullchain.pem": {"days_left": 89}, "web.example.com:443": {"days_left": 5}}}),
    ("renewed_but_not_reloaded", "no reload"): unverified_claim("certificate_valid", 5, {"host": "web.example.com"}, steps=[done("renew_certificate", name="web.example.com")], incident_type="cert_expiry", state_before={}, state_after={}),
}  # fmt: skip

UNDECIDED = {
    "a crash": failed("Segmentation fault (core dumped)"),
    "systemd's empty words": failed('Job for web.service failed because the control process exited with error code.\nSee "systemctl status web.service" for details.'),
    "a key that does not fit": failed('nginx: [emerg] SSL_CTX_use_PrivateKey_file("/etc/ssl/x.key") failed (SSL: error:0B080074:x509 certificate routines:X509_check_private_key:key values mismatch)'),
    "a unit that is not there": failed("Failed to start web.service: Unit web.service not found."),
    "a masked unit": failed("Failed to start web.service: Unit web.service is masked."),
    "a timeout, and the service is dead": ran("timed out", "start_service", timed_out=True, params={"name": "web"}),
    "the pid file is not there": failed("pidfile /run/web/web.pid exists", state_before=state(files={"/run/web/web.pid": {"exists": False}})),
    "the pid file speaks the truth": failed("pidfile /run/web/web.pid exists", state_before=UP, incident_type="config_drift"),
    "the dependency was running": failed("Error connecting to 127.0.0.1:6379: Connection refused", state_before=state(services={"web": "failed", "redis": "running"})),
    "data that is gone": ran("tar: /srv/data: Cannot stat: No such file or directory", incident_type="backup_failure"),
    "an inode in a trace": ran("kernel BUG at fs/ext4/inode.c:123"),
    "a service that dies slowly": ran("timed out", "wait_for_service", timed_out=True, params={"name": "web"}),
    "a host key": ran("Host key verification failed."),
    "an assertion": ran("the assertion does not hold", "assert"),
    "an outside name that is only spoken of": failed("worker crashed while talking about db.internal"),
    "read-only": ran("cp: cannot create regular file '/srv/app/x': Read-only file system"),
    "a lost key": failed('nginx: [emerg] cannot load certificate "/etc/ssl/site.pem": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory)'),
    "the incident's own endpoint": unverified_claim("http_ok", "timed out", {"url": "https://shop.example.com/"}, incident_type="endpoint_down", parameters={"url": "https://shop.example.com/"}, waited=30.0, state_before={}, state_after={}),
    "names are the incident": ran("shop.example.com: name or service not known", "resolve_dns", incident_type="dns_failure", params={"name": "shop.example.com"}),
}  # fmt: skip


@pytest.mark.parametrize("run", PERMISSION.values(), ids=PERMISSION)
def test_permission_stands_before_everything(run: ExecutionResult) -> None:
    verdict = judge(case(run))
    assert verdict
    assert (verdict.failure_type, verdict.failure_type.improvable) == (FailureType.PERMISSION_DENIED, False)
    assert verdict.evidence == ("exec-20261122-01JDABCD#1",)


@pytest.mark.parametrize("run", OUTSIDE.values(), ids=OUTSIDE)
def test_other_hosts_troubles_are_theirs(run: ExecutionResult) -> None:
    verdict = judge(case(run))
    assert verdict
    assert verdict.failure_type is FailureType.EXTERNAL_DEPENDENCY


@pytest.mark.parametrize(
    ("name", "given"),
    [(name, given) for (name, _), given in INSUFFICIENT.items()],
    ids=[": ".join(key) for key in INSUFFICIENT],
)
def test_the_runbook_lacks_something(name: str, given: ExecutionResult | Case) -> None:
    judged = given if isinstance(given, Case) else case(given)
    assert f"rule:{name}" in [verdict.decided_by for verdict in verdicts(judged)]
    verdict = judge(judged)
    assert verdict
    assert verdict.failure_type is FailureType.RUNBOOK_INSUFFICIENT
    assert verdict.evidence[0].startswith("exec-20261122-01JDABCD")


@pytest.mark.parametrize("run", UNDECIDED.values(), ids=UNDECIDED)
def test_doubt_is_no_verdict(run: ExecutionResult) -> None:
    verdict = judge(case(run))
    assert verdict is None or not verdict.failure_type.improvable, verdict


def test_every_rule_of_insufficiency_has_a_case() -> None:
    insufficient = {rule.name for rule in all_rules() if rule.failure_type is FailureType.RUNBOOK_INSUFFICIENT}
    speak = {
        v.decided_by.removeprefix("rule:") for cause in (*CAUSES, *ORDINARY) for v in verdicts(case(run_of(cause)))
    }
    named = {name for name, _ in INSUFFICIENT}
    needs_a_runbook = {"made_too_late"}  # see test_kinds.py
    assert named <= insufficient <= named | speak | needs_a_runbook


class TestEnvironment:
    """Concluded from what works elsewhere, or from the host's own facts."""

    MISSING = "Failed to restart apache2.service: Unit apache2.service not found."

    @pytest.mark.parametrize("error", [
        MISSING, "sh: 1: apt-get: not found", "chown: invalid user: 'www-data'", "E: Unable to locate package httpd",
        "grep: invalid option -- 'P'", "cat: /etc/apache2/apache2.conf: No such file or directory",
        "System has not been booted with systemd as init system (PID 1). Can't operate.",
    ])  # fmt: skip
    def test_it_works_on_another_distribution(self, error: str) -> None:
        verdict = judge(case(ran(error, host=RHEL), successes=ON_DEBIAN))
        assert verdict
        assert verdict.failure_type is FailureType.ENVIRONMENT_DIFFERENCE
        assert "host.os_id: rhel (1) where it failed, debian (3) where it worked" in verdict.reasoning

    def test_without_contrast_nothing_is_guessed(self) -> None:
        for run in (
            ran(self.MISSING.replace("apache2", "shop"), host=RHEL),
            ran(self.MISSING, host=DEBIAN),
            ran(self.MISSING, host={}),
        ):
            verdict = judge(case(run))
            assert verdict
            assert verdict.failure_type is FailureType.WRONG_RUNBOOK

    def test_the_hosts_own_facts_are_a_contrast_to_a_known_name(self) -> None:
        verdict = judge(case(ran(self.MISSING, "restart_service", host=RHEL)))
        assert verdict
        assert verdict.decided_by == "rule:name_of_another_distribution"
        tool = judge(case(ran("bash: line 1: apt-get: command not found", host=RHEL, exit_code=127)))
        assert tool
        assert tool.decided_by == "rule:tool_of_another_distribution"

    def test_what_vanishes_at_a_reboot_is_no_matter_of_distribution(self) -> None:
        verdict = judge(
            case(
                failed('open() "/run/web/web.pid" failed (2: No such file or directory)', host=RHEL),
                successes=ON_DEBIAN,
            )
        )
        assert verdict
        assert verdict.decided_by == "rule:missing_directory"

    def test_a_claim_about_a_path_that_only_others_have(self) -> None:
        run = unverified_claim("file_exists", "missing", {"path": "/etc/apache2/apache2.conf"}, host=RHEL)
        verdict = judge(case(run, successes=ON_DEBIAN))
        assert verdict
        assert verdict.failure_type is FailureType.ENVIRONMENT_DIFFERENCE
        assert judge(case(run)) is None

    def test_the_same_distribution_is_no_contrast(self) -> None:
        verdict = judge(case(ran("sh: 1: jq: not found", host=DEBIAN, exit_code=127), successes=ON_DEBIAN))
        assert verdict
        assert verdict.decided_by == "rule:missing_tool"

    def test_another_system_does_not_explain_a_taken_port(self) -> None:
        verdict = judge(case(failed("bind: Address already in use", host=RHEL), successes=ON_DEBIAN))
        assert verdict
        assert verdict.failure_type is FailureType.RUNBOOK_INSUFFICIENT

    def test_the_state_shows_the_service_under_another_name(self) -> None:
        verdict = judge(
            case(
                ran(
                    "Unit chrony.service could not be found.",
                    "restart_service",
                    params={"name": "chrony"},
                    parameters={},
                    state_before={"services": {"chronyd": "running"}},
                )
            )
        )
        assert verdict
        assert verdict.decided_by == "rule:service_has_another_name"

    def test_the_host_runs_another_service_manager(self) -> None:
        error = "System has not been booted with systemd as init system (PID 1). Can't operate."
        verdict = judge(case(ran(error, host={"service_manager": "openrc"})))
        assert verdict
        assert verdict.decided_by == "rule:other_service_manager"
        assert judge(case(ran(error, host={"service_manager": "systemd"}))) is None


class TestWrongRunbook:
    def test_a_type_it_does_not_serve(self) -> None:
        run = unverified_claim("cpu_usage_below", 98.2, {"percent": 80}, incident_type="high_cpu")
        verdict = judge(case(run, of=runbook()))
        assert verdict
        assert verdict.decided_by == "rule:type_not_served"

    def test_a_type_that_only_looks_different_is_served(self) -> None:
        for kind in ("service_crash", "Service-Crash", "ServiceCrash"):
            verdict = judge(case(failed("pidfile /run/web/web.pid exists", incident_type=kind), of=runbook()))
            assert verdict
            assert verdict.decided_by == "rule:stale_pid_file"

    def test_the_service_was_running_all_along(self) -> None:
        run = unverified_claim("http_ok", 500, {"url": "http://127.0.0.1:8080/"}, state_before=UP, state_after=UP)
        verdict = judge(case(run, of=runbook()))
        assert verdict
        assert verdict.failure_type is FailureType.WRONG_RUNBOOK

    def test_restarting_what_runs(self) -> None:
        up = {"services": {"nginx": "running"}, "ports": {"80": "listening"}}
        run = unverified_claim("http_ok", 500, {"url": "http://127.0.0.1:8080/"}, steps=[done("restart_service", name="nginx")],
                               incident_type="endpoint_down", state_before=up, state_after=up, waited=20.0)  # fmt: skip
        verdict = judge(case(run, of=runbook("endpoint_down")))
        assert verdict
        assert verdict.decided_by == "rule:restarts_what_runs"

    def test_the_same_answer_before_and_after_tells_nothing(self) -> None:
        run = unverified_claim("http_ok", 500, {"url": "http://127.0.0.1:8080/"}, steps=[done("restart_service", name="web")],
                               incident_type="endpoint_down", state_before=UP, state_after=UP, waited=20.0)  # fmt: skip
        assert judge(case(run, of=runbook("endpoint_down"))) is None

    def test_the_busy_program_may_be_the_services_own(self) -> None:
        def busy(table: str) -> str:
            steps = [
                done("run_command", argv=["ps", "-eo", "pid,pcpu,comm"]) | {"output": table},
                done("restart_service", 2, name="php8.2-fpm"),
            ]
            run = unverified_claim(
                "cpu_usage_below",
                98,
                {"percent": 80},
                steps=steps,
                incident_type="high_cpu",
                state_before={},
                state_after={},
            )
            verdict = judge(case(run, of=runbook("high_cpu")))
            return verdict.decided_by if verdict else ""

        assert busy("PID %CPU COMMAND\n12 389 mariadbd\n13 1.2 php-fpm8.2") == "rule:another_uses_it_up"
        assert busy("PID %CPU COMMAND\n13 389 php-fpm8.2\n12 1.2 mariadbd") == ""
        assert busy("PID %CPU COMMAND\n13 389 java\n12 1.2 sleep") == ""  # whose it is nobody knows

    def test_an_executors_word_is_a_hint(self) -> None:
        verdict = judge(case(failed("no words", was_correct_runbook=False)))
        assert verdict
        assert verdict.failure_type is FailureType.WRONG_RUNBOOK
        surer = judge(case(failed("pidfile /run/web/web.pid exists", was_correct_runbook=False)))
        assert surer
        assert surer.failure_type is FailureType.RUNBOOK_INSUFFICIENT


class TestWrongDiagnosis:
    def test_in_order_what_it_names_and_something_else_is_not(self) -> None:
        run = unverified_claim(
            "http_ok",
            500,
            {"url": "http://127.0.0.1:8080/"},
            state_before=UP | {"disk": {"usage_percent": 100}},
            state_after=UP,
        )
        verdict = judge(case(run, of=runbook()))
        assert verdict
        assert verdict.failure_type is FailureType.WRONG_DIAGNOSIS

    def test_what_is_needed_is_named_and_not_what_needs_it(self) -> None:
        error = "Dependency failed for api.service - The API.\napi.service: Job api.service/start failed with result 'dependency'."
        for name, own in (("api", "api"), ("api", "api.service"), ("api.service", "api")):
            run = failed(
                error,
                step_more={"params": {"name": name}},
                parameters={"site": "shop"},
                state_before={"services": {own: "stopped", "redis": "failed", "shop": "running"}},
            )
            verdict = judge(case(run))
            assert verdict
            assert verdict.decided_by == "rule:stopped_dependency"
            assert verdict.reasoning.startswith("redis was failed"), verdict.reasoning

    def test_a_living_owner_of_a_pid_file_is_left_alone(self) -> None:
        run = failed(
            'FATAL:  lock file "postmaster.pid" already exists\nHINT:  Is another postmaster (PID 20411) running in data directory "/var/lib/postgresql/15/main"?',
            step_more={"params": {"name": "postgresql"}},
            parameters={},
            state_before={"services": {"postgresql": "failed"}, "processes": {"postgres": 9}},
        )
        verdict = judge(case(run))
        assert verdict
        assert verdict.decided_by == "rule:runs_beside_its_service"
        dead = run.model_copy(
            update={"state_before": run.state_before.model_copy(update={"processes": {"postgres": 0}})}
        )
        verdict = judge(case(dead))
        assert verdict
        assert verdict.decided_by == "rule:stale_pid_file"

    def test_the_clock_of_another_host(self) -> None:
        run = ran(
            "kinit: Clock skew too great while getting initial credentials",
            state_before={"time": {"offset_seconds": 0.0006}},
        )
        verdict = judge(case(run))
        assert verdict
        assert verdict.decided_by == "rule:anothers_clock"

    def test_a_person_who_gave_a_reason_stands_before_what_texts_say(self) -> None:
        taken = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)"
        hint = failed(taken, was_correct_diagnosis=False, state_before=state(ports={"80": "listening"}))
        verdict = judge(case(hint))
        assert verdict is None or verdict.decided_by == "rule:port_taken"
        for field, kind in (("was_correct_diagnosis", "wrong_diagnosis"), ("was_correct_runbook", "wrong_runbook")):
            verdict = judge(
                case(failed(taken, human_feedback="Apache serves here since the migration", **{field: False}))
            )
            assert verdict
            assert verdict.failure_type.value == kind

    def test_a_full_disk_beneath_a_crash(self) -> None:
        run = failed(
            'could not write to file "pg_wal/xlogtemp.123": No space left on device',
            state_before=state(disk={"usage_percent": 100}),
        )
        verdict = judge(case(run, of=runbook()))
        assert verdict
        assert verdict.decided_by == "rule:full_disk_beneath"

    def test_no_memory_beneath_a_crash(self) -> None:
        run = failed("fork: Cannot allocate memory", state_before=state(memory={"usage_percent": 99}))
        verdict = judge(case(run, of=runbook()))
        assert verdict
        assert verdict.decided_by == "rule:no_memory_beneath"

    def test_a_wrong_clock_beneath_an_expired_certificate(self) -> None:
        run = ran(
            "SSL certificate problem: certificate is not yet valid",
            state_before={"time": {"offset_seconds": -86400}},
            incident_type="cert_expiry",
        )
        verdict = judge(case(run))
        assert verdict
        assert verdict.decided_by == "rule:wrong_clock_beneath"

    def test_the_state_contradicts_the_words(self) -> None:
        run = failed("No space left on device", state_before=state(disk={"usage_percent": 20}))
        assert judge(case(run, of=runbook())) is None


def test_a_cancelled_run_teaches_nothing() -> None:
    verdict = judge(case(failed("cancelled: pidfile /run/web/web.pid exists", status="partial")))
    assert verdict
    assert (verdict.failure_type, verdict.decided_by) == (FailureType.UNKNOWN, "rule:cancelled")


def test_rules_that_contradict_each_other_are_doubt() -> None:
    # The state says that a full disk lies beneath, the words that a port is taken: both may be, so nobody decides.
    run = failed(
        "bind: Address already in use\nlogging: No space left on device",
        state_before=state(disk={"usage_percent": 100}),
    )
    both = case(run, of=runbook())
    assert {verdict.failure_type for verdict in verdicts(both)} == {
        FailureType.RUNBOOK_INSUFFICIENT,
        FailureType.WRONG_DIAGNOSIS,
    }
    assert judge(both) is None


def test_signs_in_a_few_runs_are_not_enough() -> None:
    loud = failed("bind: Address already in use")
    mute = [failed("exit code 1", execution_id=f"exec-20261122-MUTE{i}") for i in range(3)]
    assert judge(case(loud, *mute)) is None
    assert judge(case(loud, loud, mute[0])) is not None


def test_one_refusal_in_a_cluster_is_enough_to_keep_off() -> None:
    others = [failed("bind: Address already in use", execution_id=f"exec-20261122-OTHER{i}") for i in range(5)]
    verdict = judge(case(*others, failed("bind() to 0.0.0.0:80 failed (13: Permission denied)")))
    assert verdict
    assert verdict.failure_type is FailureType.PERMISSION_DENIED


def test_more_hosts_make_it_surer_and_so_does_the_executors_hint() -> None:
    error = "bind() failed (98: Address already in use)"
    one = judge(case(failed(error)))
    two = judge(case(failed(error), failed(error, hostname="web-2")))
    hinted = judge(case(failed(error, failure_type="runbook_insufficient")))
    assert one
    assert two
    assert hinted
    assert one.confidence < two.confidence < hinted.confidence <= 0.98


def test_a_verdict_is_the_same_for_any_order_of_runs() -> None:
    runs = [
        failed("bind: Address already in use", execution_id=f"exec-20261122-R{i:04d}", hostname=f"web-{i}")
        for i in range(4)
    ]
    forth, back = judge(case(*runs)), judge(case(*reversed(runs)))
    assert forth
    assert back
    assert (forth.failure_type, forth.confidence, forth.decided_by) == (
        back.failure_type,
        back.confidence,
        back.decided_by,
    )


def test_steps_that_were_told_to_go_on_are_read_too() -> None:
    run = unverified_claim(
        "service_running",
        "failed",
        {"name": "web"},
        steps=[step("rm: cannot remove '/run/web/web.pid': Operation not permitted", "remove_file")],
    )
    verdict = judge(case(run))
    assert verdict
    assert verdict.failure_type is FailureType.PERMISSION_DENIED


def test_the_docs_list_the_rules_as_they_are(root: Path) -> None:
    page = (root / "docs" / "triage.md").read_text()
    start, end = "<!-- rules: written by learner.triage.rules.table() -->\n", "<!-- end of rules -->"
    assert page.split(start)[1].split(end)[0] == table() + "\n", "put learner.triage.rules.table() into docs/triage.md"
