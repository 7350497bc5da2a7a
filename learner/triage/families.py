"""Which program serves a port, and by which names its service and its processes go."""

from __future__ import annotations

from collections.abc import Iterable

_FAMILIES: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "web": (("nginx", "apache", "httpd", "caddy", "lighttpd", "haproxy", "traefik", "envoy", "varnish", "w3svc", "w3wp", "iis"), (80, 443)),
    "mail": (("postfix", "exim", "sendmail", "smtpd", "smtpsvc", "msexchangetransport"), (25, 465, 587)),
    "mailbox": (("dovecot", "courier", "cyrus", "imapd"), (110, 143, 993, 995)),
    "ssh": (("sshd", "openssh"), (22,)),
    "ftp": (("vsftpd", "proftpd", "pure-ftpd", "ftpsvc"), (21,)),
    "dns": (("named", "bind9", "unbound", "dnsmasq", "systemd-resolved", "systemd-resolve", "pdns", "coredns"), (53,)),
    "time": (("chron", "ntpd", "ntpsec", "timesyncd", "w32time"), (123, 323)),
    "redis": (("redis", "valkey", "keydb"), (6379,)),
    "postgres": (("postgres", "pgsql"), (5432,)),
    "mysql": (("mysql", "mariadb"), (3306,)),
    "sqlserver": (("mssql", "sqlservr", "sqlserveragent"), (1433,)),
    "oracle": (("oracle", "tnslsnr"), (1521,)),
    "mongo": (("mongo",), (27017,)),
    "memcache": (("memcache",), (11211,)),
    "rabbit": (("rabbit",), (5671, 5672, 15672)),
    "kafka": (("kafka",), (9092,)),
    "zookeeper": (("zookeeper",), (2181,)),
    "etcd": (("etcd",), (2379, 2380)),
    "search": (("elastic", "opensearch"), (9200, 9300)),
    "php": (("php",), (9000,)),
    "ldap": (("slapd", "ns-slapd", "dirsrv"), (389, 636)),
    "samba": (("smbd", "samba", "lanmanserver"), (139, 445)),
    "nfs": (("nfs",), (2049,)),
    "syslog": (("rsyslog", "syslog-ng"), (514,)),
    "snmp": (("snmpd",), (161,)),
    "squid": (("squid",), (3128,)),
    "desktop": (("termservice", "xrdp"), (3389,)),
    "printing": (("cups", "spooler"), (631,)),
    "metrics": (("prometheus", "node_exporter", "node-exporter"), (9090, 9100)),
    "zabbix": (("zabbix",), (10050, 10051)),
}  # fmt: skip
_OF_PORT = {port: family for family, (_, ports) in _FAMILIES.items() for port in ports}


def family_of_port(port: int) -> str:
    """The kind of program that customarily serves a port; empty when none does.

    Source: IANA's register of service names and ports, and the programs' own defaults.
    """
    return _OF_PORT.get(port, "")


def family_of(name: str) -> str:
    """The kind of program that a service or a process is, by its name; empty when the name is nobody's."""
    lowered = name.lower()
    return next((family for family, (words, _) in _FAMILIES.items() if any(word in lowered for word in words)), "")


def families_of(names: Iterable[str]) -> frozenset[str]:
    """The kinds of all `names`; a name of no known kind adds an empty one."""
    return frozenset(family_of(name) for name in names)
