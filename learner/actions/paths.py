"""Paths on a host: POSIX ones, and on Windows those that begin with a drive or a share."""

from __future__ import annotations

import ntpath
import posixpath
import re
from types import ModuleType
from typing import Annotated, Any, get_args

from learner.strict import Matching, Strict

# What a Windows name may hold; a colon after the drive would name another stream of the file.
# Source: Microsoft Learn, "Naming Files, Paths, and Namespaces".
_NAMES = r"[^:*?\"<>|\x00-\x1f]*"
_WINDOWS = rf"[A-Za-z]:[\\/]{_NAMES}|\\\\[A-Za-z0-9._-]+\\[^\\/:*?\"<>|\x00-\x1f]+(?:\\{_NAMES})?"
_ON_WINDOWS = re.compile(_WINDOWS)

_PATH = Matching(
    rf"/[^\x00\n]*|{_WINDOWS}", r"An absolute path on the host: /srv/web; on Windows C:\web or \\server\web"
)
HostPath = Annotated[str, _PATH]


def is_windows(path: str) -> bool:
    """Whether `path` has the form of an absolute path on Windows."""
    return bool(_ON_WINDOWS.fullmatch(path))


def flavour(path: str) -> ModuleType:
    """The module that takes `path` apart: `ntpath` for one of Windows, else `posixpath`."""
    return ntpath if is_windows(path) else posixpath


def below(inner: str, outer: str) -> bool:
    """Whether `inner` stands somewhere in the directory `outer`."""
    separator = "\\" if is_windows(outer) else "/"
    return inner.startswith(outer.rstrip("/\\" if separator == "\\" else "/") + separator)


def misplaced(path: str | None, platform: str) -> str | None:
    """Why `path` can't be one on a host of `platform`; None when it can, or when there is none."""
    if path is None or is_windows(path) is (platform == "windows"):
        return None
    return (
        f"{path} is no path on Windows" if platform == "windows" else f"{path} is a path on Windows, not on {platform}"
    )


def path_fields(params: type[Strict]) -> tuple[str, ...]:
    """The names of the parameters that are paths on the host."""
    return tuple(
        name
        for name, info in params.model_fields.items()
        if any(item is _PATH for item in info.metadata) or _holds_path(info.annotation)
    )


def _holds_path(annotation: Any) -> bool:
    return any(item is _PATH or _holds_path(item) for item in get_args(annotation))
