"""A repository that holds next to nothing: for a runner with an empty disk that wants what is new, not history.

Commits come without their trees, trees one level at a time and only where two commits differ, blobs by name. It is
what partial clone does on demand, done in few large questions instead of many small ones: about eight round trips,
however large the branch is. It asks the server for filters; one without them sends the whole tip, which works too.

Source: git-fetch(1) --filter; gitprotocol-v2(5); partial-clone design notes in Git's Documentation/technical.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from learner.errors import GitError
from learner.repository.batch import FOLDER, Changed, Objects, TreeEntry, objects
from learner.repository.git import ZERO, Git, init

_AT_ONCE = 20_000
_COPIED = r"^(http\..*|credential\..*|url\..*|core\.sshcommand|ssh\..*)$"
"""Settings of a clone that say how to reach its remote; a checkout action keeps its token there."""


@dataclass(frozen=True)
class Lean:
    """A bare repository beside a clone, with one remote, `origin`."""

    git: Git
    remote: str = "origin"

    def filters(self) -> bool:
        """Whether the server can leave out what nobody asked for. Costs one look at its refs.

        Source: gitprotocol-v2(5), "Capability Advertisement": the features of `fetch` tell.
        """
        said = self.git.attempt(
            "ls-remote", "--quiet", self.remote, "HEAD", env={"GIT_TRACE_PACKET": "2"}, ok=(0,)
        ).stderr
        return re.search(rb"< fetch=[^\n]*\bfilter\b", said) is not None

    def commits(self, oids: Iterable[str]) -> bool:
        """Bring commits without their trees; whether the server could leave the trees out.

        Raises: `GitError` when the remote can't be reached or has no such commit.
        """
        missing = self._missing(oids)
        if missing:
            said = self._fetch("tree:0", missing, "--depth=1")
            return b"filtering not recognized" not in said
        return True

    def everything(self, commit: str) -> None:
        """Bring all trees and blobs of one commit, without its history."""
        self._fetch(None, [commit], "--depth=1", "--refetch")

    def files(self, commit: str) -> dict[str, str]:
        """Path → blob id of every file of one commit: all its trees are brought, and none of its blobs.

        Raises: `GitError` when the remote can't be reached or has no such commit.
        """
        self.commits([commit])
        tree = _tree_of(self.git, commit)
        if missing := self._missing([tree]):
            self._fetch("blob:none", missing)
        return self.git.listing(commit)

    def blobs(self, oids: Iterable[str]) -> None:
        """Bring blobs."""
        missing = self._missing(oids)
        for some in (missing[i : i + _AT_ONCE] for i in range(0, len(missing), _AT_ONCE)):
            self._fetch("blob:none", some)

    def trees(self, oids: Iterable[str]) -> None:
        """Bring trees, without what is below them."""
        missing = self._missing(oids)
        if missing:
            self._fetch("tree:0", missing)

    def folders(self, commit: str, paths: Iterable[str]) -> None:
        """Bring the trees on the way to every folder of `paths`, and these, as far as they are there."""
        wanted = {tuple(path.split("/")) for path in paths}
        level: dict[tuple[str, ...], str] = {(): _tree_of(self.git, commit)}
        while level:
            self.trees(level.values())
            below: dict[tuple[str, ...], str] = {}
            with objects(self.git) as reader:
                for at, oid in level.items():
                    steps = {path[len(at)] for path in wanted if len(path) > len(at) and path[: len(at)] == at}
                    below |= {(*at, e.name): e.oid for e in reader.tree(oid) if e.mode == FOLDER and e.name in steps}
            level = below

    def changed(self, old: str, new: str, prefix: str) -> list[Changed]:
        """What differs below `prefix` between two commits, in path order; the trees on the way are brought.

        Raises: `GitError` when the remote can't be reached or has no such commit.
        """
        self.commits([old, new])
        found: list[Changed] = []
        level = [("", _tree_of(self.git, old), _tree_of(self.git, new))]
        while level:
            self.trees(oid for _, *sides in level for oid in sides if oid != ZERO)
            below: list[tuple[str, str, str]] = []
            with objects(self.git) as reader:
                for at, before, after in level:
                    for path, one, other in _differing(reader, at, before, after):
                        if not (f"{path}/".startswith(prefix) or prefix.startswith(f"{path}/")):
                            continue
                        trees = _side(one, folder=True), _side(other, folder=True)
                        if trees != (ZERO, ZERO):
                            below.append((path, *trees))
                        files = _side(one, folder=False), _side(other, folder=False)
                        if files != (ZERO, ZERO):
                            status = "A" if files[0] == ZERO else "D" if files[1] == ZERO else "M"
                            found.append(Changed(status, path, *files))
            level = below
        return sorted(found, key=lambda one: one.path)

    def _missing(self, oids: Iterable[str]) -> list[str]:
        with objects(self.git) as reader:
            return sorted({oid for oid in oids if reader.info(oid) is None})

    def _fetch(self, filter_spec: str | None, oids: list[str], *options: str) -> bytes:
        """What git said. The filter is set for this command alone: a clone that remembered it would fetch by itself."""
        config = {"fetch.negotiationAlgorithm": "noop", "remote.origin.promisor": "true"}
        if filter_spec:
            config["remote.origin.partialclonefilter"] = filter_spec
        done = self.git.attempt(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--stdin",
            *options,
            self.remote,
            stdin="\n".join(oids).encode(),
            config=config,
            ok=(0,),
        )
        return done.stderr


def beside(clone: Git, remote: str, folder: Path) -> Lean:
    """A lean repository at `folder` (made when it is not there) for a remote of `clone`: its name or its address.

    Raises: `GitError` when the folder can't be made.
    """
    try:
        url = clone.text("remote", "get-url", remote)
    except GitError:
        url = remote
    if "://" not in url and not Path(url).is_absolute() and Path(clone.path, url).exists():
        url = str(Path(clone.path, url).resolve())
    lean = Git(folder) if (folder / "HEAD").exists() else init(folder, bare=True)
    settings = clone.attempt("config", "--null", "--includes", "--get-regexp", _COPIED).stdout
    for entry in filter(None, settings.decode("utf-8", "surrogateescape").split("\0")):
        key, _, value = entry.partition("\n")
        lean.run("config", "--replace-all", key, value)
    lean.run("config", "remote.origin.url", url)
    return Lean(lean)


def _tree_of(git: Git, commit: str) -> str:
    # the commit is read as it is: `commit^{tree}` would fail for a tree that is not here yet
    for line in git.text("cat-file", "commit", commit).splitlines():
        if line.startswith("tree "):
            return line[5:]
    raise GitError(f"{commit} is no commit", "see whether the repository is whole: git fsck")


def _side(entry: TreeEntry | None, *, folder: bool) -> str:
    return entry.oid if entry and (entry.mode == FOLDER) is folder else ZERO


def _differing(
    reader: Objects, at: str, before: str, after: str
) -> Iterator[tuple[str, TreeEntry | None, TreeEntry | None]]:
    old = {entry.name: entry for entry in reader.tree(before)} if before != ZERO else {}
    new = {entry.name: entry for entry in reader.tree(after)} if after != ZERO else {}
    for name in old.keys() | new.keys():
        one, other = old.get(name), new.get(name)
        if one is None or other is None or (one.oid, one.mode) != (other.oid, other.mode):
            yield f"{at}/{name}" if at else name, one, other
