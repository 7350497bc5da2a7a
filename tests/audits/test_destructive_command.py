"""destructive-command: what it stops, what hides, what must pass."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.audits.books import START, book, command, found, level, script, step

RULE = "destructive-command"


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf /",
        "rm -rf /*",
        "rm -fr --no-preserve-root /",
        "rm -r -f /etc",
        "rm --recursive --force /var/lib/mysql",
        "rm -rf /home/app",
        "rm -rf //etc/./",
        "rm -rf /tmp/../etc",
        "rm -rf ~",
        'rm -rf "$HOME"',
        "rm -rf $DIR/",
        'rm -rf "${DIR}"/*',
        "cd / && rm -rf *",
        "rm -rf .",
        "mkfs.ext4 /dev/sdb1",
        "mke2fs /dev/sdb1",
        "dd if=/dev/zero of=/dev/sda bs=1M",
        "wipefs -a /dev/sda",
        "echo x > /dev/sda",
        ":(){ :|:& };:",
        "bomb() { bomb | bomb & }; bomb",
        "chmod -R 777 /",
        "chmod -R 0777 /srv/app",
        "chmod -R a+rwx /etc",
        "chown -R nobody /",
        "iptables -F",
        "iptables --flush",
        "iptables -P INPUT ACCEPT",
        "nft flush ruleset",
        "ufw disable",
        "setenforce 0",
        "find / -delete",
        "find /etc -name '*.conf' -delete",
        "find / -name core -exec rm -rf {} +",
        "find / -type f | xargs rm -rf",
        "userdel -r alice",
        "shutdown -h now",
        "reboot",
        "systemctl poweroff",
        "systemctl mask sshd",
        "init 0",
        "psql -c 'DROP TABLE users'",
        "echo 'drop database app;' | mysql",
        "mysql <<EOF\nTRUNCATE TABLE users;\nEOF",
        "psql -c 'DELETE FROM users;'",
        "redis-cli FLUSHALL",
        "kubectl delete namespace prod",
        "kubectl delete pods --all",
        "docker system prune -a -f",
        "docker volume rm data",
        "> /etc/passwd",
        "cat /dev/null > /etc/shadow",
        "truncate -s 0 /etc/fstab",
        "mv /etc /tmp/etc",
        "cp /dev/zero /dev/sda",
        "rsync -a --delete /empty/ /var/",
        "kill -9 -1",
        "pkill sshd",
        "crontab -r",
        "lvremove -f vg0/data",
        "shred /dev/sda",
        "zfs destroy -r tank",
    ],
)
def test_destruction_is_blocked(text: str) -> None:
    assert level(RULE, script(text)) == "block"


@pytest.mark.parametrize(
    "text",
    [
        "/bin/rm -rf /",
        "\\rm -rf /",
        "r'm' -rf /",
        'r""m -rf /',
        "command rm -rf /",
        "env rm -rf /",
        "env -i PATH=/bin rm -rf /",
        "env -S 'rm -rf /'",
        "sudo rm -rf /",
        "sudo -n -u root -- rm -rf /",
        "nohup nice -n 10 rm -rf / &",
        "timeout 60 rm -rf /",
        "busybox rm -rf /",
        "sh -c 'rm -rf /'",
        "bash -lc \"sh -c 'rm -rf /'\"",
        "eval 'rm -rf /'",
        "a=rm; b=-rf; $a $b /",
        "x='rm -rf /'; $x",
        "R=r; M=m; ${R}${M} -rf /",
        "rm${IFS}-rf${IFS}/",
        "{rm,-rf,/}",
        "$(echo rm) -rf /",
        "`printf r``printf m` -rf /",
        "$'\\x72\\x6d' -rf /",
        "rm -rf ${PATH:0:1}",
        "echo cm0gLXJmIC8= | base64 -d | sh",
        "base64 -d <<< cm0gLXJmIC8= | bash",
        'bash -c "$(echo cm0gLXJmIC8= | base64 --decode)"',
        "echo '/ fr- mr' | rev | sh",
        "echo 'ez -es /' | tr 'A-Za-z' 'N-ZA-Mn-za-m' | sh",
        "printf '\\162\\155 -rf /' | sh",
        "echo / | xargs rm -rf",
        "ls -d /* | xargs -n1 -I{} rm -rf {}",
        "if true; then rm -rf /; fi",
        "for d in /etc /usr; do rm -rf $d; done",
        "true && rm -rf / || true",
        "(rm -rf /)",
        "cat <<'EOF' | sh\nrm -rf /\nEOF",
        "sh <<EOF\nrm -rf /\nEOF",
        "trap 'rm -rf /' EXIT",
        "python3 -c 'import os; os.system(\"rm -rf /\")'",
        "python3 -c 'import shutil; shutil.rmtree(\"/\")'",
        'python -c \'__import__("shutil").rmtree("/etc")\'',
        'python3 -c \'import subprocess as s; s.run(["rm", "-rf", "/"])\'',
        'python3 -c \'import os; getattr(os, "sys" + "tem")("rm -rf /")\'',
        "python3 - <<EOF\nimport shutil\nshutil.rmtree('/etc')\nEOF",
        "perl -e 'system(\"rm -rf /\")'",
        "perl -e 'use File::Path; rmtree(\"/\")'",
        "perl -e '`rm -rf /`'",
        'ruby -e \'require "fileutils"; FileUtils.rm_rf("/")\'',
        'node -e \'require("fs").rmSync("/", {recursive: true})\'',
        'node -e \'require("child_process").execSync("rm -rf /")\'',
        "php -r 'system(\"rm -rf /\");'",
        "awk 'BEGIN { system(\"rm -rf /\") }'",
        "ssh db1 'rm -rf /'",
        "su -c 'rm -rf /'",
        "docker exec web rm -rf /",
        "kubectl exec web -- sh -c 'rm -rf /data'",
        "flock /tmp/l -c 'rm -rf /'",
        "alias ls='rm -rf /'; ls",
        "find /usr -type f -exec rm -f {} \\; -o -exec rm -rf /usr \\;",
        "echo 'rm -rf /' | at now",
        "watch 'rm -rf /'",
        "rm -rf /e*",
        "rm -rf /usr/../",
    ],
)
def test_what_hides_is_found(text: str) -> None:
    assert level(RULE, script(text)) == "block"


@pytest.mark.parametrize(
    "argv",
    [
        ("rm", "-rf", "/"),
        ("/usr/bin/env", "rm", "-rf", "/"),
        ("sh", "-c", "rm -rf /"),
        ("bash", "-xc", "x=/; rm -rf $x"),
        (
            "powershell",
            "-EncodedCommand",
            base64.b64encode("Remove-Item -Recurse -Force C:\\".encode("utf-16-le")).decode(),
        ),
        ("pwsh", "-c", "Format-Volume -DriveLetter C"),
        ("cmd.exe", "/c", "format c:"),
        ("sudo", "reboot"),
    ],
)
def test_commands_without_a_shell(argv: tuple[str, ...]) -> None:
    assert level(RULE, command(*argv)) == "block"


@pytest.mark.parametrize(
    "text",
    [
        "Format-Volume -DriveLetter D -Force",
        "Remove-Item -Recurse -Force C:\\Windows",
        "Remove-Item C:\\ -Recurse -Force",
        "Remo`ve-Item -Recurse -Force C:\\Users",
        "& ('Remove' + '-Item') -Recurse -Force 'C:\\Users'",
        "rd -r -fo C:\\*",
        "Stop-Computer -Force",
        "vssadmin delete shadows /all",
        "Clear-Disk -Number 0 -RemoveData",
    ],
)
def test_powershell(text: str) -> None:
    assert level(RULE, script(text, "powershell")) == "block"


@pytest.mark.parametrize(
    "new",
    [
        step("remove_file", path="/etc/passwd"),
        step("clean_directory", path="/etc", patterns=["*.conf"]),
        step("clean_directory", path="/", patterns=["*"]),
        step("clean_directory", path="/var/lib", patterns=["*"]),
        step("set_permissions", path="/etc/shadow", mode="0666"),
        step("write_file", path="/dev/sda", content="x"),
        step("kill_process", name="systemd"),
        step("stop_service", name="sshd"),
        step("write_file", path="/usr/local/bin/x.sh", content="#!/bin/sh\nrm -rf /\n"),
        step("write_file", path="/etc/cron.d/x", content="* * * * * root rm -rf /\n"),
    ],
)
def test_actions_of_the_catalogue(new: dict[str, Any]) -> None:
    assert level(RULE, new) == "block"


def test_templates_are_read_with_their_defaults() -> None:
    parameters = {
        "service": {"type": "string", "default": "web"},
        "tool": {"type": "string", "default": "rm"},
        "where": {"type": "string", "default": "/"},
    }
    assert level(RULE, command("{{ tool }}", "-rf", "{{ where }}"), parameters=parameters) == "block"
    assert level(RULE, command("{{ ['r', 'm'] | join }}", "-rf", "/etc")) == "block"
    choice = {
        "service": {"type": "string", "default": "web"},
        "where": {"type": "string", "default": "/tmp/x", "enum": ["/tmp/x", "/etc"]},
    }
    assert level(RULE, command("rm", "-rf", "{{ where }}"), parameters=choice) == "block"


def test_every_branch_of_a_template_is_read() -> None:
    assert level(RULE, command("{{ 'rm' if host.os_id == 'x' else 'ls' }}", "-rf", "/etc")) == "block"
    assert level(RULE, command("rm", "-rf", "{{ state.nothing | default('/etc') }}")) == "block"
    assert level(RULE, command("rm", "-rf", "{{ ['/tmp/x', '/etc'][state.n] }}")) == "block"
    assert level(RULE, command("rm", "-rf", "{{ state.there and '/etc' }}")) == "block"
    assert level(RULE, command("rm", "-{{ 'r' if service == 'web' else 'R' }}f", "/{{ 'etc' | lower }}")) == "block"
    assert level(RULE, step("remove_file", path="{{ '/etc/passwd' if state.there else '/run/x.pid' }}")) == "block"


def test_a_script_sees_its_environment() -> None:
    assert level(RULE, script('$CMD "$TARGET"', env={"CMD": "rm -rf", "TARGET": "/"})) == "block"


def test_standard_input_is_a_script_too() -> None:
    assert level(RULE, command("sh", stdin="rm -rf /\n")) == "block"
    assert level(RULE, command("python3", "-", stdin="import shutil; shutil.rmtree('/')")) == "block"
    assert level(RULE, command("cat", stdin="rm -rf /\n")) == "quiet"


def test_a_file_written_here_and_run_there() -> None:
    written = step("write_file", "write", path="/tmp/fix", content="rm -rf /\n")
    assert level(RULE, written, command("sh", "/tmp/fix")) == "block"
    assert level(RULE, step("write_file", path="/etc/app/notes.txt", content="never rm -rf /\n")) == "quiet"


def test_a_check_runs_commands_too() -> None:
    new = book(
        version=2,
        verification=[{"id": "running", "check": "command_succeeds", "params": {"argv": ["sh", "-c", "rm -rf /"]}}],
    )
    assert [f.level.value for f in found(RULE, book(), new)] == ["block"]


@pytest.mark.parametrize("phase", ["rollback", "finally"])
def test_rollback_and_cleanup_too(phase: str) -> None:
    assert found(RULE, book(), book(version=2, **{phase: [command("rm", "-rf", "/")]}))


@pytest.mark.parametrize(
    "text",
    [
        "rm -f /run/web/web.pid",
        "rm /var/lock/subsys/app",
        "rm -rf /tmp/build-123",
        "rm -rf /var/cache/nginx/proxy",
        "rm -f /var/log/app/*.gz",
        'd=$(mktemp -d); trap \'rm -rf "$d"\' EXIT; cp /etc/app.conf "$d"',
        "chmod 0755 /var/www/app",
        "chmod -R u+rX /srv/app/data",
        "chown -R app:app /var/lib/app",
        "find /var/log/app -name '*.gz' -mtime +7 -delete",
        "find /tmp -mtime +7 -delete",
        "iptables -L -n",
        "iptables -A INPUT -p tcp --dport 80 -j ACCEPT",
        "systemctl restart web",
        "systemctl stop web",
        "kubectl get pods",
        "docker ps -a",
        "docker restart web",
        "psql -c 'SELECT count(*) FROM users'",
        "psql -c 'DELETE FROM sessions WHERE expires < now()'",
        "echo 'rm -rf /'",
        "grep -r 'rm -rf /' /etc/app",
        "logger 'host was asked to shutdown'",
        "truncate -s 0 /var/log/app/app.log",
        ": > /var/log/app/app.log",
        "dd if=/dev/zero of=/tmp/swap bs=1M count=10",
        "kill -TERM 4711",
        "kill -HUP $(cat /run/web.pid)",
        "pkill -x worker",
        "fdisk -l",
        "tar -xzf /opt/app/backup.tgz -C /tmp/restore",
        "mv /etc/app/app.conf.new /etc/app/app.conf",
        "cp -p /etc/app/app.conf /var/backups/app.conf",
        "echo 1 > /proc/sys/vm/drop_caches",
        "shutdown -c",
        "journalctl --vacuum-time=7d",
        "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"status\"])'",
        "python3 -c 'import os; os.remove(\"/run/web/web.pid\")'",
        "apt-get clean",
        "logrotate -f /etc/logrotate.d/app",
        "redis-cli PING",
        "# rm -rf /",
    ],
)
def test_honest_work_passes(text: str) -> None:
    assert level(RULE, script(text)) == "quiet"


@pytest.mark.parametrize(
    "new",
    [
        step("clean_directory", path="/var/log/app", patterns=["*.gz", "*.1"]),
        step("clean_directory", path="/var/log/app", patterns=["*"], older_than_days=7),
        step("remove_file", path="/run/web/web.pid", only_if="stale_pid"),
        step("set_permissions", path="/var/www/app", mode="0755"),
        step("set_permissions", path="/var/spool/app", mode="1777"),
        step("kill_process", name="worker"),
        step("stop_service", name="web"),
        step("write_file", path="/etc/app/app.conf", content="shutdown_timeout = 5\n"),
        step("vacuum_journal", keep_days=7),
    ],
)
def test_honest_actions_pass(new: dict[str, Any]) -> None:
    assert level(RULE, new) == "quiet"


def test_what_the_parent_did_is_not_new() -> None:
    old = command("rm", "-rf", "/srv/app/data")
    assert not found(RULE, book(old, START), book(START, old, version=2))
    assert not found(RULE, book(old, START), book({**old, "timeout_seconds": 5}, START, version=2))
    assert not found(RULE, book(old, START), book({**old, "id": "renamed"}, START, version=2))
    assert found(RULE, book(old, START), book(old, {**old, "id": "again"}, START, version=2))


def test_a_removal_of_an_unusual_directory_warns() -> None:
    assert level(RULE, script("rm -rf /srv/app/data/old")) == "warning"
    assert level(RULE, script("apt-get remove -y nginx")) == "warning"


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["docker", "image", "prune", "--force"], "warning"),
        (["docker", "image", "prune", "--all", "--force", "--filter", "until=168h"], "warning"),
        (["docker", "image", "prune", "--all", "--force"], "block"),
        (["docker", "image", "prune", "--all", "--force", "--filter", "label=old"], "block"),
        (["docker", "system", "prune", "--all", "--filter", "until=168h"], "block"),
        (["docker", "volume", "prune", "--filter", "until=1h"], "block"),
    ],
)
def test_images_that_nobody_runs_may_go_when_they_are_old(argv: list[str], wanted: str) -> None:
    assert level("destructive-command", command(*argv)) == wanted
