"""Refs of a remote: reading them, fetching them to private names, moving several at once with leases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from learner.errors import GitError
from learner.repository.git import Git, failure, without_credentials

_RACES = (
    "stale info",
    "failed to update ref",
    "cannot lock ref",
    "unable to lock",
    "incorrect old value",
    "reference already exists",
    "atomic push fail",
    "atomic transaction failed",
    "transaction failed",
    "fetch first",
    "non-fast-forward",
    "needs force",
    "but expected",
)
"""What git and its servers say when a ref was moved by somebody else in between."""


@dataclass(frozen=True)
class Update:
    """A ref to be moved from `expected` to `new`; None means that it is not there (any more)."""

    ref: str
    new: str | None
    expected: str | None


def private(remote: str, *names: str) -> str:
    """A ref of this clone alone, for what was read from or is meant for `remote`; no push or mirror of ours takes it."""
    key = hashlib.sha256(without_credentials(remote).encode()).hexdigest()[:12]
    return "/".join(("refs/learner-local", key, *names))


def advertised(git: Git, remote: str, *patterns: str) -> dict[str, str]:
    """Ref → id on the remote, for refs that are a pattern or match one ending in `/*`.

    Raises: `GitError` when the remote can't be read.
    """
    found: dict[str, str] = {}
    for line in git.text("ls-remote", "--refs", "--quiet", remote, *patterns).splitlines():
        oid, _, ref = line.partition("\t")
        # ls-remote matches the tail of a name, so others can come along (Source: git-ls-remote(1))
        if any(ref == pattern or (pattern.endswith("/*") and ref.startswith(pattern[:-1])) for pattern in patterns):
            found[ref] = oid
    return found


def fetch(git: Git, remote: str, refspecs: Iterable[str], *options: str) -> None:
    """Bring refs here, under the names `refspecs` give them; tags, FETCH_HEAD and the work tree stay as they are.

    Raises: `GitError` when the remote can't be read or lacks a ref that is named without `*`.
    """
    git.run(
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        *options,
        remote,
        *refspecs,
    )


def follow(
    git: Git, remote: str, names: Mapping[str, str], fetched: Callable[[str], bool] = lambda _ref: True
) -> dict[str, str | None]:
    """Remote ref → id, for each of `names` (remote ref → the private ref that follows it); None when it is not there.

    One question to the remote; only what moved is fetched, and of that only the refs that `fetched` says.

    Raises: `GitError` when the remote can't be read.
    """
    there = advertised(git, remote, *names)
    here = held(git, private(remote))
    moved = [ref for ref, mine in names.items() if ref in there and there[ref] != here.get(mine) and fetched(ref)]
    if moved:
        fetch(git, remote, [f"+{ref}:{names[ref]}" for ref in moved])
    return {ref: there.get(ref) for ref in names}


def held(git: Git, prefix: str) -> dict[str, str]:
    """Ref → id of this repository's refs below `prefix/`."""
    lines = git.text("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return {ref: oid for ref, _, oid in (line.partition(" ") for line in lines)}


def push(git: Git, remote: str, updates: Sequence[Update]) -> tuple[str, ...]:
    """Move all refs or none; the refs that somebody else had moved, empty when all went well.

    Raises: `GitError` when the remote can't be reached or refuses for another reason than a race.
    Source: git-push(1), --atomic, --force-with-lease, --porcelain.
    """
    leases = [f"--force-with-lease={update.ref}:{update.expected or ''}" for update in updates]
    refspecs = [f"{update.new or ''}:{update.ref}" for update in updates]
    atomic = ["--atomic"] if len(updates) > 1 else []
    done = git.attempt("push", "--porcelain", "--no-verify", "--quiet", *atomic, *leases, remote, *refspecs)
    if done.returncode == 0:
        return ()
    rejected = [
        line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("!")
    ]
    strange = [line for line in rejected if not any(race in line[-1] for race in _RACES)]
    if not rejected:
        raise failure(("push",), done.returncode, done.stderr)
    if strange:
        raise GitError(
            f"git push: {strange[0][1].rpartition(':')[2]} {strange[0][-1]}",
            "may this key write there? see docs/telemetry.md, or run `learner doctor`",
            stderr=without_credentials(done.stderr.decode("utf-8", "replace")),
            exit_status=done.returncode,
        )
    return tuple(line[1].rpartition(":")[2] for line in rejected)
