"""What an operating system says, in English: from the numbers of its errors, from their names, from translations.

A host speaks the language it was set up in, and many programs print a number or a name alone (`os error 13`,
`0x80070020`, `java.net.BindException`). Rules read English; this is where the rest becomes English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from learner.triage.translations import TRANSLATED

_ERRNO: Mapping[int, str] = {
    1: "operation not permitted", 2: "no such file or directory", 5: "input/output error", 8: "exec format error",
    11: "resource temporarily unavailable", 12: "cannot allocate memory", 13: "permission denied", 16: "device or resource busy",
    17: "file exists", 20: "not a directory", 21: "is a directory", 23: "too many open files in system", 24: "too many open files",
    26: "text file busy", 27: "file too large", 28: "no space left on device", 30: "read-only file system", 32: "broken pipe",
    39: "directory not empty", 98: "address already in use", 99: "cannot assign requested address", 100: "network is down",
    101: "network is unreachable", 103: "software caused connection abort", 104: "connection reset by peer", 110: "connection timed out",
    111: "connection refused", 112: "host is down", 113: "no route to host", 114: "operation already in progress", 116: "stale file handle",
    122: "disk quota exceeded",
}  # fmt: skip
"""Linux. Source: `errno(3)` and `include/uapi/asm-generic/errno.h`."""
_ERRNO_DARWIN: Mapping[int, str] = {
    **{number: words for number, words in _ERRNO.items() if number <= 34 and number != 11},
    35: "resource temporarily unavailable", 37: "operation already in progress", 48: "address already in use",
    49: "cannot assign requested address", 50: "network is down", 51: "network is unreachable", 53: "software caused connection abort",
    54: "connection reset by peer", 60: "connection timed out", 61: "connection refused", 64: "host is down", 65: "no route to host",
    66: "directory not empty", 69: "disk quota exceeded", 70: "stale file handle",
}  # fmt: skip
"""macOS. Source: `sys/errno.h` of XNU."""
_WIN32: Mapping[int, str] = {
    2: "the system cannot find the file specified", 3: "the system cannot find the path specified", 4: "too many open files",
    5: "access is denied", 8: "not enough memory resources", 14: "not enough memory resources", 19: "the media is write protected",
    32: "the process cannot access the file because it is being used by another process",
    33: "the process cannot access the file because another process has locked a portion of the file", 39: "the disk is full",
    53: "the network path was not found", 59: "an unexpected network error occurred", 64: "the specified network name is no longer available",
    67: "the network name cannot be found", 80: "the file exists", 86: "the specified network password is not correct", 112: "there is not enough space on the disk",
    121: "the semaphore timeout period has expired", 145: "the directory is not empty", 170: "the requested resource is in use",
    183: "cannot create a file when that file already exists", 193: "is not a valid Win32 application",
    1051: "a stop control has been sent to a service that other running services are dependent on",
    1053: "the service did not respond to the start or control request in a timely fashion", 1055: "the service database is locked",
    1056: "an instance of the service is already running",
    1058: "the service cannot be started, either because it is disabled or because it has no enabled devices associated with it",
    1060: "the specified service does not exist as an installed service", 1061: "the service cannot accept control messages at this time",
    1062: "the service has not been started", 1067: "the process terminated unexpectedly", 1068: "the dependency service or group failed to start",
    1069: "the service did not start due to a logon failure", 1072: "the specified service has been marked for deletion",
    1073: "the specified service already exists", 1219: "multiple connections to a server by the same user are not allowed",
    1225: "the remote computer refused the network connection", 1231: "the network location cannot be reached",
    1314: "a required privilege is not held by the client", 1326: "the user name or password is incorrect",
    1330: "the password for this account has expired", 1331: "this account is currently disabled",
    1385: "logon failure: the user has not been granted the requested logon type",
    1398: "there is a time and/or date difference between the client and server", 1450: "insufficient system resources exist",
    1460: "this operation returned because the timeout period expired", 1618: "another installation is already in progress",
    1722: "the RPC server is unavailable", 1909: "the referenced account is currently locked out", 3010: "a reboot is required",
    3017: "a reboot is required", 10013: "permission denied", 10048: "only one usage of each socket address is normally permitted",
    10049: "cannot assign requested address", 10051: "network is unreachable", 10054: "connection reset by peer",
    10060: "connection timed out", 10061: "connection refused", 10065: "no route to host", 11001: "no such host is known",
}  # fmt: skip
"""Source: Microsoft, "System Error Codes"; an HRESULT `0x8007nnnn` holds one in its lower half."""
_NAMES: Mapping[str, str] = {
    "EPERM": _ERRNO[1], "ENOENT": _ERRNO[2], "EIO": _ERRNO[5], "ENOEXEC": _ERRNO[8], "EAGAIN": _ERRNO[11], "ENOMEM": _ERRNO[12],
    "EACCES": _ERRNO[13], "EBUSY": _ERRNO[16], "EEXIST": _ERRNO[17], "ENOTDIR": _ERRNO[20], "EMFILE": _ERRNO[24], "ENFILE": _ERRNO[23],
    "ETXTBSY": _ERRNO[26], "EROFS": _ERRNO[30], "ENOTEMPTY": _ERRNO[39], "EADDRINUSE": _ERRNO[98], "EADDRNOTAVAIL": _ERRNO[99],
    "ENETUNREACH": _ERRNO[101], "ECONNRESET": _ERRNO[104], "ETIMEDOUT": _ERRNO[110], "ESOCKETTIMEDOUT": _ERRNO[110],
    "ECONNREFUSED": _ERRNO[111], "EHOSTDOWN": _ERRNO[112], "EHOSTUNREACH": _ERRNO[113], "ESTALE": _ERRNO[116], "EDQUOT": _ERRNO[122],
    "AddrInUse": _ERRNO[98], "FileExistsError": _ERRNO[17], "ConnectionRefusedError": _ERRNO[111], "NotADirectoryError": _ERRNO[20],
    "BindException": _ERRNO[98], "NoRouteToHostException": _ERRNO[113], "SocketTimeoutException": _ERRNO[110],
    "UnknownHostException": "name or service not known", "AccessDeniedException": _ERRNO[13], "NoSuchFileException": _ERRNO[2],
    "FileAlreadyExistsException": _ERRNO[17], "DirectoryNotEmptyException": _ERRNO[39], "ConnectionRefused": _ERRNO[111],
    "PermissionDenied": _ERRNO[13], "E_ACCESSDENIED": _WIN32[5],
}  # fmt: skip
"""Names of errors in C, Java, Python and Rust."""

_NAME = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(_NAMES)})(?![A-Za-z])")
_NUMBER = re.compile(
    r"\[Errno (?P<errno>\d{1,3})\]|\b(?:errno|errcode|error number)[ :=]+(?P<named>\d{1,3})\b|\bmount error\((?P<mount>\d{1,3})\)|(?<=\()(?P<nginx>\d{1,3})(?=: )"
    r"|\bos error (?P<os>\d{1,5})\b|\boperating system error(?: number)? (?P<dbms>\d{1,5})\b|\bOs \{ code: (?P<rust>\d{1,5})\b"
    r"|\[WinError (?P<winerror>\d{1,5})\]|(?<!operating )\bsystem error (?P<net>\d{1,5})\b|\bsystemfehler (?P<de>\d{1,5})\b|erreur système (?P<fr>\d{1,5})\b"
    r"|error de sistema (?P<es>\d{1,5})\b|errore di sistema (?P<it>\d{1,5})\b|\bWin32 ?(?:Exception|error)(?: code)? \(?(?P<clr>\d{1,5})\b"
    r"|^error: (?P<dism>\d{1,5})$|\bFAILED (?P<sc>\d{1,5}):|\b0x8007(?P<hresult>[0-9A-Fa-f]{4})\b",
    re.IGNORECASE,
)
_ERRNO_OF = ("errno", "named", "mount", "nginx")
_OF_PLATFORM = ("os", "rust", "dbms")


def in_english(text: str, platform: str = "linux") -> str:
    """`text` with translated messages of the system in English, and in brackets behind each line what its numbers and
    names of errors mean. Lines that need neither stay as they are.

    `platform` says whose numbers they are: `linux`, `darwin` or `windows`.
    """
    return "\n".join(_line(line, platform) for line in text.split("\n"))


@lru_cache(maxsize=1024)
def _line(line: str, platform: str) -> str:
    line = _translated(line)
    meant = {words for match in _NUMBER.finditer(line) if (words := _meaning(match, platform))}
    meant |= {_NAMES[match[0]] for match in _NAME.finditer(line)}
    lowered = line.lower()
    missing = sorted(words for words in meant if words.lower() not in lowered)
    return f"{line} ({'; '.join(missing)})" if missing else line


def _translated(line: str) -> str:
    # French and Italian hosts write either apostrophe, and spaces that do not break.
    plain = line.replace("’", "'").replace("\xa0", " ")
    lowered = plain.lower()
    for foreign, english in TRANSLATED:
        if foreign in lowered:
            line = plain = re.sub(re.escape(foreign), english, plain, flags=re.IGNORECASE)
            lowered = plain.lower()
    return line


def _meaning(match: re.Match[str], platform: str) -> str:
    kind = match.lastgroup or ""
    number = int(match[kind], 16 if kind == "hresult" else 10)
    if kind in _ERRNO_OF or (kind in _OF_PLATFORM and platform != "windows"):
        return (_ERRNO_DARWIN if platform == "darwin" else _ERRNO).get(number, "")
    return _WIN32.get(number, "")
