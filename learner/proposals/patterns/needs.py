"""Which services of the host a failure speaks of, by name, by socket, by port or by the tool that talks to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

# The first letters of services' names → what failures say that are about them.
_FAMILIES: Mapping[tuple[str, ...], str] = {
    ("postgres",): r"\.s\.PGSQL|\bpsql\b|\bpg_\w+|postgres|libpq|\b5432\b",
    ("mysql", "mariadb"): r"mysqld?x?\.sock|\bmysql|mariadb|\b3306\b|ERROR 200[23]|Error: 2002",
    ("redis", "valkey"): r"redis|valkey|\b6379\b",
    ("memcache",): r"memcache|\b11211\b",
    ("rabbit",): r"rabbit|amqp|\b567[12]\b|nodedown",
    ("mongo",): r"mongo|\b27017\b",
    ("docker",): r"docker\.sock|docker daemon|docker API",
    ("containerd",): r"containerd\.sock|\bcrictl\b|\bctr:",
    ("podman",): r"podman\.sock",
    ("libvirt", "virtqemu"): r"libvirt-sock|virtqemud-sock|hypervisor",
    ("php",): r"php[\d.]*-?fpm|fpm\.sock|\b9000\b",
    ("firewalld",): r"firewalld",
    ("rpc-statd", "nfs-lock"): r"rpc\.statd|\bstatd\b",
    ("rpcbind",): r"rpcbind|portmap",
    ("chrony", "chronyd"): r"chrony|506 Cannot talk",
    ("systemd-resolved",): r"127\.0\.0\.53|resolve1",
    ("snapd",): r"snapd",
    ("dbus",): r"system_bus_socket|\bdbus\b|D-Bus",
    ("iscsi",): r"iscsi",
    ("gluster",): r"gluster",
    ("corosync",): r"corosync|\bcmap\b",
    ("pacemaker",): r"pacemaker|\bCIB\b",
    ("cups",): r"\bcups|\blp(?:stat|admin|info)?:|scheduler is not running",
    ("elasticsearch", "opensearch"): r"elastic|opensearch|\b9200\b",
    ("kafka",): r"kafka|\b9092\b",
    ("zookeeper",): r"zookeeper|\b2181\b",
    ("etcd",): r"\betcd|\b2379\b",
    ("consul",): r"consul|\b8500\b",
    ("vault",): r"\bvault\b|\b8200\b",
    ("slapd", "dirsrv", "ldap"): r"\bldap|slapd|\b389\b",
    ("winbind",): r"winbind",
    ("sssd",): r"\bsss(?:d|ctl)?\b",
    ("saslauthd",): r"saslauthd",
    ("clam",): r"clamd|clamav|\b3310\b",
    ("opendkim",): r"opendkim|\b8891\b",
    ("dovecot",): r"dovecot|private/auth|\blmtp\b",
    ("multipath",): r"multipath",
    ("prometheus",): r"prometheus|\b9090\b",
    ("grafana",): r"grafana",
    ("influx",): r"influx|\b8086\b",
    ("nscd",): r"\bnscd\b",
    ("spooler",): r"spooler",
    ("w32time",): r"w32tm|W32Time|Windows Time",
    ("mssql",): r"SQL Server|\bsqlcmd\b|\b1433\b",
    ("rpcss", "rpceptmapper"): r"RPC server is unavailable|endpoint mapper",
    ("winrm",): r"\bWinRM\b|\bWSMan\b|\b598[56]\b",
    ("named", "bind9"): r"\brndc\b|\bnamed\b|\b953\b",
    ("unbound",): r"\bunbound|\b8953\b",
    ("pdns",): r"\bpdns|PowerDNS",
    ("knot",): r"\bknotc?\b",
    ("varnish",): r"\bvarnish(?:adm|d)?\b|\b6082\b",
    ("squid",): r"\bsquid(?:client)?\b|\b3128\b",
    ("supervisor",): r"supervisor(?:d|ctl)?\b",
    ("fail2ban",): r"fail2ban",
    ("salt-minion",): r"salt[- ]minion",
    ("salt-master",): r"salt[- ]master|\b450[56]\b",
    ("nomad",): r"\bnomad\b|\b4646\b",
    ("crio",): r"crio\.sock|cri-o",
    ("kubelet",): r"kubelet|\b10250\b",
    ("lxd", "incus"): r"\b(?:lxd|lxc|incus)\b",
    ("strongswan", "charon", "ipsec"): r"charon\.vici|swanctl|strongswan",
    ("networkmanager",): r"NetworkManager|\bnmcli\b",
    ("iscsid",): r"iscsid?\b|iscsiadm",
    ("nats",): r"\bnats\b|\b4222\b",
    ("zabbix-agent",): r"zabbix[_-]get|zabbix[_-]agent|\b10050\b",
    ("zabbix-server",): r"zabbix[_-]server|\b10051\b",
    ("auditd",): r"\baudit(?:d|ctl)\b",
    ("ntpd", "ntp"): r"\bntp(?:q|d|dc)\b",
    ("smbd",): r"\bsmbd\b|smbcontrol",
    ("dnscache",): r"dns[ -]?client|dnscache",
    ("bits",): r"bitsadmin|\bBITS\b",
}  # fmt: skip
_RULES = {stems: re.compile(text, re.IGNORECASE) for stems, text in _FAMILIES.items()}
_DEPENDS = re.compile(
    r"FAILED 1068|dependency service or group|Dependency failed for|A dependency job for|result 'dependency'|Abhängigkeit",
    re.IGNORECASE,
)
# Accounts and parts of the system whose names say nothing of a service.
_PLAIN = frozenset({"app", "web", "api", "server", "service", "worker", "user", "system", "time", "host", "local"})


def spoken_of(service: str, text: str) -> bool:
    """Whether `text` is about `service`."""
    bare = re.sub(r"\.(?:service|socket)$", "", service)
    if bare.lower() not in _PLAIN and re.search(rf"(?<![\w-]){re.escape(bare)}(?![\w-])", text, re.IGNORECASE):
        return True
    return any(
        bare.lower().startswith(stems) and expression.search(text) is not None for stems, expression in _RULES.items()
    )


def about_any(services: Iterable[str], text: str) -> bool:
    """Whether `text` may be about one of `services`: it speaks of one, or of no kind of service that is known."""
    if any(spoken_of(service, text) for service in services):
        return True
    return not any(expression.search(text) for expression in _RULES.values())


def needed(services: Mapping[str, str], own: str, text: str) -> dict[str, str]:
    """The services that are down and that `text` shows to be needed, with their status.

    When words only say that *a* dependency failed, it is the one service that is down beside `own`, or none.
    """
    down = {
        name: status
        for name, status in services.items()
        if status in ("stopped", "failed") and name != own and not name.endswith((".mount", ".automount", ".swap"))
    }
    named = {name: status for name, status in down.items() if spoken_of(name, text)}
    if named or not _DEPENDS.search(text):
        return named
    return down if len(down) == 1 else {}


def mount_points(services: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(path, unit) of every mount unit that is down, in systemd's way of writing paths."""
    for unit, status in services.items():
        stem, dot, kind = unit.rpartition(".")
        if dot and kind in ("mount", "automount") and status in ("stopped", "failed") and stem != "-":
            path = "/" + stem.replace("-", "/")
            yield re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), path), unit
