"""How much hangs on a path: what the host is made of, what holds data, what comes and goes."""

from __future__ import annotations

import posixpath
import re
from typing import Literal

Reach = Literal["wide", "unknown", "narrow", "passing"]
"""`wide`: a system's or its data's directory; `unknown`: nothing tells; `passing`: made to be thrown away."""

_WIDE = re.compile(
    r"/|/[^/]+|/(?:etc|usr|boot|lib|lib64|bin|sbin|root|home|proc|sys|dev)/[^/]+|/(?:etc|usr|boot|lib|lib64|proc|sys|dev)/.*"
    r"|/var/(?:lib|log|spool|mail|www|db|backups?|opt|run|tmp|cache)|/var/lib/[^/]+|/(?:opt|srv|mnt|media|data)/[^/]+"
    r"|/var/lib/(?:mysql|postgresql|pgsql|mongodb|redis|docker|etcd|kubelet|rpm|dpkg|elasticsearch|influxdb)/.*"
    r"|/run/(?:systemd|lock|user)|/home/[^/]+/(?:\.ssh|\.config|Documents)(?:/.*)?|/root/.*"
)
_PASSING = re.compile(
    r"/tmp/.+|/dev/shm/.+|/var/(?:tmp|cache)/.+|(?:/var)?/run/[^/]+/.+|/var/log/[^/]+/.+"  # noqa: S108 - named, not used
)
_WINDOWS_WIDE = re.compile(
    r"[a-z]:(?:\\|$)(?:\*|windows.*|users(?:\\[^\\]*)?|program ?files.*|programdata(?:\\[^\\]*)?|[^\\]*)\\?\*?",
    re.IGNORECASE,
)
CORE = re.compile(
    r"/etc/(?:passwd|shadow|group|gshadow|sudoers(?:\.d/.*)?|fstab|hosts|hostname|resolv\.conf|nsswitch\.conf|ld\.so\.preload"
    r"|crypttab|machine-id|pam\.d/.*|ssh/.*|security/.*|ssl/private/.*|systemd/.*)|/boot/.*|/dev/(?!null|std|tty|fd/|shm/).*"
    r"|/bin/.*|/sbin/.*|/lib(?:64)?/.*|/usr/(?:bin|sbin|lib)/.*|/proc/.*|/sys/.*|/|/etc|/usr|/var"
    r"|(?:/root|/home/[^/]+|~)/\.(?:ssh/.*|bashrc|profile|bash_profile)"
)
"""Files a system does not come up without, or that decide who may do what."""


def plain(path: str) -> str:
    """`path` without what only disguises it: `//etc/./../etc/` is `/etc`."""
    path = path.strip("\"'")
    if re.match(r"[A-Za-z]:[\\/]", path):
        return re.sub(r"[\\/]+", r"\\", path)
    home = re.sub(r"^(?:\$HOME|\$\{HOME\}|~)(?=/|$)", "/root", path)
    normal = posixpath.normpath(home) if home else ""
    return "/" + normal.lstrip("/") if normal.startswith("/") else normal


def reach(path: str) -> Reach:
    """How much goes when everything at `path` goes."""
    if "mktemp.XXXXXX" in path:
        return "passing"
    text = plain(path)
    # A glob at the end takes all that stands beside it; one in the middle takes all that matches before.
    text = re.sub(r"(?:/(?:\*+|\.\*|\.\[!\.\]\*|\{\*[^}]*\}|\$found))+$", "", text) or "/"
    if text in (".", "..", "*", "~", "") or text.startswith("../"):
        return "wide"
    if re.match(r"[A-Za-z]:", text):
        return "wide" if _WINDOWS_WIDE.fullmatch(text) else "narrow"
    head = re.split(r"[*?\[]", text)[0]
    if re.search(r"\$|\{\{|`", text):
        fixed = re.split(r"\$|\{\{|`", text)[0]
        if _PASSING.fullmatch(fixed + "x") and not fixed.endswith("/.."):
            return "passing"
        return "unknown"
    if head != text and head.endswith("/") and head.count("/") <= 2:
        return "wide"
    if _PASSING.fullmatch(text):
        return "passing"
    if _WIDE.fullmatch(text):
        return "wide"
    return "narrow"


def is_core(path: str) -> bool:
    """Whether `path` is a file that the system itself stands on."""
    return bool(CORE.fullmatch(plain(path)))


def for_everybody(path: str) -> bool:
    """Whether `path` is the directory in which everybody may make files anyway."""
    return plain(path) in ("/tmp", "/var/tmp")  # noqa: S108 - named, not used


def is_disk(path: str) -> bool:
    """Whether `path` is a whole disk, a partition, or memory."""
    return bool(
        re.fullmatch(r"/dev/(?:sd|hd|vd|xvd|nvme|mmcblk|loop|dm-|mapper/|md|disk/|mem|kmem|nst|sr).*", plain(path))
    )
