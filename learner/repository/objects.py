"""Commits made without a checkout: blobs, trees and commit go through one `git fast-import`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from learner.errors import GitError
from learner.repository.git import Git, Identity

Change: TypeAlias = bytes | str | None
"""What becomes of a path: new bytes, the id of a blob that is already held, or None to take it off."""


_MANY_PACKS = 50
"""What `gc.autoPackLimit` is where nobody sets it."""


def blob_id(content: bytes) -> str:
    """The id Git gives to a blob of `content`: 40 hex digits.

    Source: Pro Git, "Git Internals – Git Objects".
    """
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def commit(
    git: Git,
    changes: Mapping[str, Change],
    *,
    ref: str,
    parent: str | None,
    message: str,
    author: Identity,
    when: datetime,
) -> str:
    """The id of a new commit: `parent`'s tree with `changes` laid over it.

    `ref` is a private ref that will hold the commit, so that no clean-up takes its objects before they are pushed.
    Only the trees on the changed paths are read, whatever else the parent holds.

    Raises: `GitError` when the objects could not be written.
    Source: git-fast-import(1).
    """
    stamp = f"{_plain(author.name)} <{_plain(author.email)}> {int(when.astimezone(UTC).timestamp())} +0000"
    words = message.encode()
    parts = [b"commit %s\nmark :1\ncommitter %s\ndata %d\n%s\n" % (ref.encode(), stamp.encode(), len(words), words)]
    if parent:
        parts.append(b"from %s\n" % parent.encode())
    for path, change in changes.items():
        name = _quoted(path)
        if change is None:
            parts.append(b"D %s\n" % name)
        elif isinstance(change, str):
            parts.append(b"M 100644 %s %s\n" % (change.encode(), name))
        else:
            parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(change), change))
    parts.append(b"get-mark :1\ndone\n")
    # --force: the private ref need not be a descendant of what it held before
    # unpackLimit: the objects stay in the pack they come in; taking it apart is a process and a sync for each of them
    said = git.run(
        "fast-import", "--quiet", "--force", "--done", "--date-format=raw", stdin=b"".join(parts),
        config={"fastimport.unpackLimit": "1"},
    )  # fmt: skip
    made = said.decode().strip()
    if len(made) != 40:
        raise GitError(
            "git fast-import: said nothing of the commit it made", "see whether the repository is whole: git fsck"
        )
    return made


def tidy(git: Git) -> None:
    """Have Git pack anew what many small commits left, once there is as much of it as Git itself finds too much.

    `commit` leaves a pack each time, and neither it nor a push makes Git look; with 300 of them a push took twice as
    long. What git says of it is not worth failing for.

    Source: git-gc(1), gc.autoPackLimit.
    """
    for folder in (git.path / ".git" / "objects" / "pack", git.path / "objects" / "pack"):
        if folder.is_dir() and sum(1 for _ in folder.glob("*.pack")) > _MANY_PACKS:
            git.attempt("gc", "--auto", "--quiet", config={"gc.autoDetach": "false"})


def _plain(text: str) -> str:
    return "".join(c for c in text if c not in "<>\n\r\0").strip() or "unknown"


def _quoted(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    escaped = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
