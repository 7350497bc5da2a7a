"""The forge's one bare repository, read and written through git's plumbing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from learner.errors import GitError
from learner.local_forge.diff import FilePatch, parse_patches
from learner.repository.git import EMPTY_TREE, ZERO, Git, Identity

SHA = re.compile(r"[0-9a-f]{40}")
T = TypeVar("T")
_NOBODY = Identity("forge", "forge@localhost")


@dataclass(frozen=True)
class Signature:
    """Who and when, as a commit object says; `at` is UTC, such as `2026-11-22T05:00:00Z`."""

    name: str
    email: str
    at: str


@dataclass(frozen=True)
class Commit:
    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    signature: str | None
    payload: str


@dataclass(frozen=True)
class Entry:
    """One entry of a tree; `size` is None for what is no blob."""

    mode: str
    type: str
    sha: str
    path: str
    size: int | None


@dataclass(frozen=True)
class Merge:
    """A three-way merge that was tried: its tree, and the paths in conflict (none when it is clean)."""

    tree: str
    conflicts: tuple[str, ...]


class Bare:
    """Read and write one bare repository. Nothing here knows users, pull requests or HTTP."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git = Git(path, timeout_seconds=60)
        self._facts: dict[tuple[str, str, str], Any] = {}

    def kept(self, kind: str, one: str, other: str, find: Callable[[], T]) -> T:
        """A fact about two object ids: it can't change, so it is asked of git once."""
        key = (kind, one, other)
        if key not in self._facts:
            if len(self._facts) > 5000:
                self._facts.clear()
            self._facts[key] = find()
        return cast("T", self._facts[key])

    def heads(self) -> dict[str, str]:
        """Branch name → commit id."""
        return {ref.removeprefix("refs/heads/"): sha for ref, sha, _ in self.refs("refs/heads/")}

    def refs(self, prefix: str) -> list[tuple[str, str, str]]:
        """(ref, object id, object type) of every ref that begins with `prefix`, whole words or not, sorted."""
        folder = prefix.rpartition("/")[0]
        lines = self.git.text("for-each-ref", "--format=%(refname) %(objectname) %(objecttype)", folder or "refs")
        found = (tuple(line.split(" ")) for line in lines.splitlines())
        return [(ref, sha, kind) for ref, sha, kind in found if ref.startswith(prefix)]

    def ref(self, name: str) -> tuple[str, str] | None:
        """(object id, object type) of a full ref name; None when there is none."""
        return next(((sha, kind) for ref, sha, kind in self.refs(name) if ref == name), None)

    def move(self, ref: str, new: str, old: str | None = None) -> bool:
        """Set `ref` to `new`; False when it was not at `old` (`ZERO`: must not exist; None: anything)."""
        guard = [old] if old is not None else []
        done = self.git.attempt("update-ref", "--end-of-options", ref, new, *guard)
        if done.returncode and b"but expected" not in done.stderr and b"already exists" not in done.stderr:
            raise GitError(f"can't set {ref}", stderr=done.stderr.decode("utf-8", "replace"))
        return done.returncode == 0

    def remove(self, ref: str, old: str) -> bool:
        """Delete `ref`; False when it was not at `old`."""
        return self.git.attempt("update-ref", "-d", "--end-of-options", ref, old).returncode == 0

    def valid_ref(self, ref: str) -> bool:
        return self.git.attempt("check-ref-format", ref).returncode == 0

    def object_type(self, sha: str) -> str | None:
        """commit, tree, blob or tag; None when there is no such object."""
        if not SHA.fullmatch(sha):
            return None
        done = self.git.attempt("cat-file", "-t", sha)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def resolve(self, revision: str) -> str | None:
        """The commit of a branch, tag, full ref or commit id; None when there is none."""
        if revision.startswith("-") or ".." in revision or "^" in revision or "~" in revision or "@{" in revision:
            return None
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/{revision}", revision):
            if sha := self.git.resolve(name):
                return sha
        return None

    def commits(self, shas: Sequence[str]) -> list[Commit]:
        """The commits of these ids, in their order; what is no commit is left out."""
        raw = self.git.run("cat-file", "--batch", stdin="".join(f"{sha}\n" for sha in shas).encode())
        found, at = [], 0
        for _ in shas:
            end = raw.index(b"\n", at)
            head = raw[at:end].split()
            at = end + 1
            if len(head) == 3:
                size = int(head[2])
                if head[1] == b"commit":
                    found.append(parse_commit(head[0].decode(), raw[at : at + size]))
                at += size + 1
        return found

    def commit(self, sha: str) -> Commit | None:
        return next(iter(self.commits([sha])), None)

    def log(
        self,
        *revisions: str,
        path: str | None = None,
        limit: int | None = None,
        since: str | None = None,
        until: str | None = None,
        author: str | None = None,
    ) -> list[str]:
        """Commit ids of `git rev-list REVISIONS`, newest first; none for a path that no file can have."""
        if path is not None and not inside(path):
            return []
        options = [f"--max-count={limit}"] if limit is not None else []
        options += [f"--since={since}"] if since else []
        options += [f"--until={until}"] if until else []
        options += [f"--author={author}", "--fixed-strings"] if author else []
        paths = [path] if path else []
        literal = {"GIT_LITERAL_PATHSPECS": "1"}
        return self.git.text("rev-list", *options, "--end-of-options", *revisions, "--", *paths, env=literal).split()

    def ahead_behind(self, base: str, head: str) -> tuple[int, int]:
        """How many commits `head` has that `base` lacks, and the other way round."""
        ahead, behind = self.git.text("rev-list", "--left-right", "--count", f"{head}...{base}").split()
        return int(ahead), int(behind)

    def merge_base(self, one: str, other: str) -> str | None:
        def find() -> str | None:
            done = self.git.attempt("merge-base", one, other)
            return done.stdout.decode().strip() or None if done.returncode == 0 else None

        return self.kept("base", one, other, find)

    def is_ancestor(self, old: str, new: str) -> bool:
        command = ("merge-base", "--is-ancestor", old, new)
        return self.kept("ancestor", old, new, lambda: self.git.attempt(*command).returncode == 0)

    def diff(self, old: str, new: str) -> list[FilePatch]:
        """What changed from one commit or tree to another, a file each."""
        return self.kept("diff", old, new, lambda: self._diff(old, new))

    def _diff(self, old: str, new: str) -> list[FilePatch]:
        raw = self.git.run("diff-tree", "-r", "-M", "-z", "--raw", "--no-abbrev", old, new)
        text = self.git.run("diff-tree", "-r", "-M", "-p", "--no-ext-diff", "--no-textconv", "--full-index", old, new)
        return parse_patches(raw, text)

    def changes(self, commit: Commit) -> list[FilePatch]:
        """What a commit changed against its first parent."""
        return self.diff(commit.parents[0] if commit.parents else EMPTY_TREE, commit.sha)

    def three_way(self, base: str, head: str) -> Merge:
        """A real merge of two commits, made in memory; kept, since both ids fix its outcome."""
        return self.kept("merge", base, head, lambda: self._three_way(base, head))

    def _three_way(self, base: str, head: str) -> Merge:
        done = self.git.attempt("merge-tree", "--write-tree", "--name-only", "--no-messages", base, head, ok=(0, 1))
        tree, *names = done.stdout.decode("utf-8", "replace").splitlines()
        return Merge(tree, tuple(names) if done.returncode else ())

    def cherry(self, onto: str, commit: Commit) -> Merge:
        """A commit's change laid on `onto`: a three-way merge whose base is the commit's parent."""
        parent = self.git.text("rev-parse", f"{commit.parents[0]}^{{tree}}")
        root = self.write_commit(parent, [], "", _NOBODY, _NOBODY)
        ours = self.write_commit(self.git.text("rev-parse", f"{onto}^{{tree}}"), [root], "", _NOBODY, _NOBODY)
        theirs = self.write_commit(commit.tree, [root], "", _NOBODY, _NOBODY)
        return self.three_way(ours, theirs)

    def tree(self, treeish: str, *, recursive: bool = False) -> list[Entry]:
        """The entries of a tree; with `recursive` every path below it, trees included."""
        raw = self.git.run("ls-tree", "-z", "-l", "--full-tree", *(["-r", "-t"] if recursive else []), treeish)
        entries = []
        for line in raw.split(b"\0"):
            if line:
                meta, path = line.split(b"\t", 1)
                mode, kind, sha, size = meta.decode().split()
                entries.append(
                    Entry(mode, kind, sha, path.decode("utf-8", "replace"), None if size == "-" else int(size))
                )
        return entries

    def entry(self, revision: str, path: str) -> Entry | None:
        """What stands at `path` in a commit; the root is its tree."""
        if not path:
            return Entry("040000", "tree", self.git.text("rev-parse", f"{revision}^{{tree}}"), "", None)
        if not inside(path):
            return None
        raw = self.git.run("ls-tree", "-z", "-l", "--full-tree", revision, "--", path)
        for line in raw.split(b"\0"):
            if line:
                meta, name = line.split(b"\t", 1)
                mode, kind, sha, size = meta.decode().split()
                if name.decode("utf-8", "replace") == path:
                    return Entry(mode, kind, sha, path, None if size == "-" else int(size))
        return None

    def blob(self, sha: str) -> bytes:
        return self.git.run("cat-file", "blob", sha)

    def file(self, revision: str, path: str) -> bytes | None:
        return self.git.blob(revision, path)

    def write_blob(self, data: bytes) -> str:
        return self.git.run("hash-object", "-w", "--stdin", "--no-filters", stdin=data).decode().strip()

    def write_tree(self, base: str | None, changes: Sequence[tuple[str, str, str | None]]) -> str:
        """A tree: `base` with (mode, path, object id or None to delete) laid over it.

        Only the folders on the way to a change are written anew; one that is left empty is gone, as git has it.
        """
        entries = {e.path: (e.mode, e.type, e.sha) for e in self.tree(base)} if base else {}
        below: dict[str, list[tuple[str, str, str | None]]] = {}
        for mode, path, sha in changes:
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, []).append((mode, rest, sha))
            elif sha is None:
                entries.pop(name, None)
            else:
                entries[name] = (mode, {"040000": "tree", "160000": "commit"}.get(mode, "blob"), sha)
        for name, inside in below.items():
            old = entries.pop(name, None)
            tree = self.write_tree(old[2] if old and old[1] == "tree" else None, inside)
            if tree != EMPTY_TREE:
                entries[name] = ("040000", "tree", tree)
        lines = [f"{mode} {kind} {sha}\t{name}".encode() for name, (mode, kind, sha) in entries.items()]
        return self.git.run("mktree", "-z", "--missing", stdin=b"\0".join(lines)).decode().strip()

    def write_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: Identity,
        committer: Identity,
        *,
        author_at: str | None = None,
        committer_at: str | None = None,
        signing_key: Path | None = None,
    ) -> str:
        """A commit's id; signed with the SSH key at `signing_key` when it is there."""
        env = committer.environment(committer_at)
        env |= {"GIT_AUTHOR_NAME": author.name, "GIT_AUTHOR_EMAIL": author.email}
        env |= {"GIT_AUTHOR_DATE": author_at} if author_at else {}
        config = {"gpg.format": "ssh", "user.signingkey": str(signing_key)} if signing_key else {}
        parents_args = [arg for parent in parents for arg in ("-p", parent)]
        sign = ["-S"] if signing_key else ["--no-gpg-sign"]
        done = self.git.run("commit-tree", *sign, tree, *parents_args, stdin=message.encode(), env=env, config=config)
        return done.decode().strip()


def inside(path: str) -> bool:
    """Whether a path can be that of a file: git takes one that climbs out of the repository as an error."""
    return not any(part in ("", ".", "..") for part in path.split("/"))


def parse_commit(sha: str, raw: bytes) -> Commit:
    """A commit object's parts. Its payload is what a signature signs: the object without the signature header."""
    head, _, message = raw.partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    payload: list[bytes] = []
    key = ""
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            fields[key][-1] += "\n" + line[1:].decode("utf-8", "replace")
        else:
            key = line.split(b" ", 1)[0].decode()
            fields.setdefault(key, []).append(line.partition(b" ")[2].decode("utf-8", "replace"))
        if key != "gpgsig":
            payload.append(line)
    return Commit(
        sha=sha,
        tree=fields["tree"][0],
        parents=tuple(fields.get("parent", ())),
        author=_signature(fields["author"][0]),
        committer=_signature(fields["committer"][0]),
        message=message.decode("utf-8", "replace").rstrip("\n"),
        signature=fields.get("gpgsig", [None])[0],
        payload=(b"\n".join(payload) + b"\n\n" + message).decode("utf-8", "replace"),
    )


def _signature(line: str) -> Signature:
    who, _, rest = line.rpartition("> ")
    name, _, email = who.rpartition("<")
    return Signature(name.strip(), email, utc(float(rest.split()[0])))


def utc(timestamp: float) -> str:
    """`2026-11-22T05:00:00Z`."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["SHA", "ZERO", "Bare", "Commit", "Entry", "Merge", "Signature", "utc"]
