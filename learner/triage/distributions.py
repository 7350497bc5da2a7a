"""What distributions call the same service, and which package tools belong to which family."""

from __future__ import annotations

import re

_FAMILIES = {
    "debian": ("debian", "ubuntu", "linuxmint", "raspbian", "pop", "kali", "devuan"),
    "redhat": ("rhel", "centos", "rocky", "almalinux", "fedora", "ol", "oracle", "amzn", "scientific"),
    "suse": ("suse", "sles", "opensuse", "opensuse-leap", "opensuse-tumbleweed"),
    "arch": ("arch", "manjaro"),
    "alpine": ("alpine",),
}
_TOOLS = {
    "debian": (
        "apt",
        "apt-get",
        "apt-cache",
        "dpkg",
        "dpkg-reconfigure",
        "update-rc.d",
        "a2ensite",
        "a2enmod",
        "invoke-rc.d",
        "ufw",
    ),
    "redhat": ("yum", "dnf", "microdnf", "firewall-cmd", "restorecon", "semanage", "chkconfig", "update-ca-trust"),
    "suse": ("zypper", "yast"),
    "arch": ("pacman",),
    "alpine": ("apk", "rc-service", "rc-update"),
}
_NAMES = {
    "debian": ("apache2", "cron", "ssh", "chrony", "mysql", "bind9", "redis-server", "nfs-kernel-server", "smbd", "nmbd", "ntpsec", "networking",
               "isc-dhcp-server", "squid3", "exim4", "docker.io", "slapd"),
    "redhat": ("httpd", "crond", "sshd", "chronyd", "mariadb", "mysqld", "named", "redis", "nfs-server", "smb", "nmb", "ntpd", "network", "dhcpd",
               "exim", "firewalld"),
    "suse": ("apache2", "cron", "sshd", "chronyd", "mariadb", "named", "redis", "nfs-server", "smb", "nmb"),
    "arch": ("httpd", "cronie", "sshd", "chronyd", "mariadb", "named", "redis", "smb"),
    "alpine": ("apache2", "crond", "sshd", "chronyd", "mariadb", "named", "redis", "samba"),
}  # fmt: skip

SAME_SERVICE = (
    ("apache2", "httpd"), ("cron", "crond", "cronie"), ("ssh", "sshd"), ("chrony", "chronyd"), ("ntp", "ntpd", "ntpsec"),
    ("mysql", "mysqld", "mariadb"), ("bind9", "named"), ("redis", "redis-server"), ("syslog", "rsyslog", "syslog-ng"),
    ("php-fpm", "php7.4-fpm", "php8.1-fpm", "php8.2-fpm", "php8.3-fpm", "php8.4-fpm"), ("docker", "docker.io", "docker-ce", "dockerd"),
    ("postgresql", "postgres", "postgresql-server"), ("nfs-server", "nfs-kernel-server"), ("squid", "squid3"),
    ("smbd", "smb", "samba"), ("networking", "network", "NetworkManager", "systemd-networkd"), ("memcache", "memcached"),
    ("tomcat", "tomcat9", "tomcat10"), ("isc-dhcp-server", "dhcpd"), ("ufw", "firewalld", "nftables"), ("exim4", "exim"),
)  # fmt: skip
"""Names that distributions give to one and the same service."""


def family_of(os_id: str | None) -> str:
    """`debian`, `redhat`, `suse`, `arch` or `alpine`; empty when it is none of them or nobody said."""
    known = (os_id or "").lower()
    return next((family for family, members in _FAMILIES.items() if known in members), "")


def belongs_elsewhere(name: str, os_id: str | None) -> str:
    """The family that uses a service's name while the one of `os_id` has another for it; empty when that is not so."""
    here = family_of(os_id)
    name = name.removesuffix(".service")
    if not here or name in _NAMES[here]:
        return ""
    same = next((names for names in SAME_SERVICE if name in names), ())
    if not any(other in _NAMES[here] for other in same if other != name):
        return ""
    return next((family for family, names in _NAMES.items() if name in names), "")


def foreign_tool(text: str, os_id: str | None) -> str:
    """A package tool of another family that `text` speaks of; empty when there is none."""
    here = family_of(os_id)
    if not here:
        return ""
    words = set(re.findall(r"(?<![\w/.-])[a-z][\w.-]*[\w](?![\w-])", text))
    foreign = (
        tool
        for family, tools in _TOOLS.items()
        if family != here
        for tool in tools
        if tool in words and tool not in _TOOLS[here]
    )
    return next(foreign, "")
