"""Reading many objects through one `git cat-file`: as a stream, or one after the other."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from learner.errors import GitError
from learner.repository.git import Git

FOLDER = "40000"
_WORTH_ORDERING = 2000
_STRETCH = 64
"""Questions put at once: all of them fit into a pipe, so git never waits for us to read while we wait to write."""


@dataclass(frozen=True)
class Item:
    """One object: `kind` is blob, tree, commit or tag; `content` is None when it was not asked for or is missing."""

    oid: str
    kind: str
    size: int
    content: bytes | None


@dataclass(frozen=True)
class TreeEntry:
    """One line of a tree."""

    mode: str
    name: str
    oid: str


class Objects:
    """An open `git cat-file --batch-command`: single questions at the price of a pipe's round trip."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink

    def info(self, name: str) -> Item | None:
        """Kind and size of the object that `name` (an id, or `commit:path`) names; None when there is none."""
        return self._ask(b"info", name)

    def read(self, name: str) -> Item | None:
        """The object that `name` names, with its bytes; None when there is none."""
        return self._ask(b"contents", name)

    def blobs(self, oids: Iterable[str], max_bytes: int) -> dict[str, Item]:
        """Id → the object, for those that are there; only blobs of at most `max_bytes` come with their bytes.

        Asked in stretches, so that a thousand objects do not take a thousand round trips.
        """
        wanted = list(dict.fromkeys(oids))
        found: dict[str, Item] = {}
        for some in (wanted[i : i + _STRETCH] for i in range(0, len(wanted), _STRETCH)):
            known = {item.oid: item for item in self._ask_all(b"info", some) if item}
            small = [item.oid for item in known.values() if item.kind == "blob" and item.size <= max_bytes]
            found |= known | {item.oid: item for item in self._ask_all(b"contents", small) if item}
        return found

    def tree(self, name: str) -> list[TreeEntry]:
        """The entries of the tree that `name` (an id, or `commit:path`) names, or of a commit's; none when it is neither."""
        found = self.read(name)
        if found and found.kind == "commit":
            found = self.read(f"{found.oid}^{{tree}}")
        return list(parse_tree(found.content)) if found and found.kind == "tree" and found.content is not None else []

    def files(self, oid: str, prefix: str = "", depth: int = 16) -> Iterator[tuple[str, TreeEntry]]:
        """Path and entry of every file below a tree or commit, in Git's order; `prefix` is put before each path.

        A folder deeper than `depth` comes as one entry: trees are other people's, and may nest without end.
        """
        for entry in self.tree(oid):
            if entry.mode == FOLDER and depth > 1:
                yield from self.files(entry.oid, f"{prefix}{entry.name}/", depth - 1)
            else:
                yield prefix + entry.name, entry

    def _ask(self, command: bytes, name: str) -> Item | None:
        return None if "\n" in name else self._ask_all(command, [name])[0]

    def _ask_all(self, command: bytes, names: Sequence[str]) -> list[Item | None]:
        self._sink.write(b"".join(b"%s %s\n" % (command, name.encode("utf-8", "surrogateescape")) for name in names))
        self._sink.flush()
        return [_answer(self._source, with_content=command == b"contents") for _ in names]


@contextmanager
def objects(git: Git) -> Iterator[Objects]:
    """Single questions to one running git."""
    with git.stream("cat-file", "--batch-command") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Objects(process.stdout, process.stdin)


def stream(git: Git, files: Iterable[tuple[str, str]]) -> Iterator[tuple[str, bytes | None]]:
    """(name, content) of every (name, blob id), in their order; `content` is None for one that is missing.

    Memory holds one object at a time. The questions go through a file, so that neither side ever waits for the other
    to empty a pipe, and nobody's time is spent on feeding.

    Raises: `GitError` when git ended before it had answered everything.
    """
    asked = 0
    with tempfile.TemporaryFile() as questions:
        for name, oid in files:
            questions.write(b"%s %s\n" % (oid.encode(), name.encode("utf-8", "surrogateescape").replace(b"\n", b"?")))
            asked += 1
        questions.seek(0)
        answered = 0
        with git.stream(
            "cat-file", "--batch=%(objecttype) %(objectsize) %(rest)", "--buffer", stdin=questions
        ) as process:
            assert process.stdout is not None
            source = process.stdout
            _widen(source)
            while head := source.readline():
                answered += 1
                words = head.split(b" ", 2)
                if len(words) < 3:
                    yield words[0].decode(), None  # "<id> missing"
                    continue
                content = source.read(int(words[1]) + 1)[:-1]
                yield words[2][:-1].decode("utf-8", "surrogateescape"), content if words[0] == b"blob" else None
    if answered != asked:
        raise GitError(
            f"git cat-file ended after {answered} of {asked} objects", "see whether the repository is whole: git fsck"
        )


def in_pack_order(git: Git, files: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(name, blob id) of `files` in the order the objects lie on disk; few of them stay in their own order.

    In path order a large pack is read to and fro, and what deltas rest on is unpacked again and again: measured on
    100,000 files in a pack that was written in another order, that takes five times as long.
    """
    names: dict[str, str] = {}
    again: list[tuple[str, str]] = []
    for name, oid in files:
        if names.setdefault(oid, name) is not name:
            again.append((name, oid))
    if len(names) >= _WORTH_ORDERING:
        with git.stream("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname)") as process:
            assert process.stdout is not None
            for line in process.stdout:
                oid = line[:-1].decode()
                if found := names.pop(oid, None):
                    yield found, oid
    yield from ((name, oid) for oid, name in names.items())
    yield from again


def tree_files(git: Git, revision: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, blob id) of every file under `prefix`, streamed in Git's order; nothing when the prefix is not there.

    Unlike `Git.listing` it holds one line at a time.
    """
    with git.stream("ls-tree", "-r", "-z", "--full-tree", revision, *(["--", prefix] if prefix else [])) as process:
        assert process.stdout is not None
        for line in _records(process.stdout):
            meta, _, path = line.partition(b"\t")
            yield path.decode("utf-8", "surrogateescape"), meta.rsplit(b" ", 1)[1].decode()


@dataclass(frozen=True)
class Changed:
    """One path that differs between two commits; `status` is A, M, D or T."""

    status: str
    path: str
    old: str
    new: str


def changed(git: Git, old: str, new: str, prefix: str) -> list[Changed]:
    """What differs below `prefix`, in path order. It costs what differs, not what is there.

    Raises: `GitError` when either commit is not held.
    """
    raw = git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new, "--", prefix).split(b"\0")
    found = []
    for meta, path in zip(raw[::2], raw[1::2], strict=False):
        _, _, before, after, status = meta.lstrip(b":").split(b" ")
        found.append(
            Changed(status.decode()[:1], path.decode("utf-8", "surrogateescape"), before.decode(), after.decode())
        )
    return found


def parse_tree(raw: bytes) -> Iterator[TreeEntry]:
    """The entries of a tree object: `mode SP name NUL id`, the id as 20 bytes.

    Source: Pro Git, "Git Internals – Git Objects".
    """
    at = 0
    while at < len(raw):
        space = raw.index(b" ", at)
        end = raw.index(b"\0", space)
        yield TreeEntry(
            raw[at:space].decode(),
            raw[space + 1 : end].decode("utf-8", "surrogateescape"),
            raw[end + 1 : end + 21].hex(),
        )
        at = end + 21


def _widen(pipe: IO[bytes]) -> None:
    """A pipe of a megabyte instead of 64 kB: both sides then work in long stretches. Source: fcntl(2), F_SETPIPE_SZ."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # more than this user may have; it works as it is
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


def _answer(source: IO[bytes], *, with_content: bool) -> Item | None:
    head = source.readline()
    if not head:
        raise GitError("git cat-file ended early", "see whether the repository is whole: git fsck")
    words = head.rsplit(b" ", 2)
    if len(words) < 3 or not words[2].strip().isdigit():
        return None  # "<name> missing" or "<name> ambiguous"
    oid, kind, size = words[0].decode(), words[1].decode(), int(words[2])
    if not with_content:
        return Item(oid, kind, size, None)
    content = source.read(size)
    source.read(1)
    return Item(oid, kind, size, content)


def _records(source: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    read: Callable[[], bytes] = lambda: source.read(1 << 16)  # noqa: E731 for iter's two-argument form
    for chunk in iter(read, b""):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole
