"""What `main` has held: every blob of every runbook, by the commit that brought it."""

from __future__ import annotations

from dataclasses import dataclass

from learner.repository.git import Git


@dataclass(frozen=True)
class Brought:
    """A blob that a first-parent commit of `main` put at a path."""

    path: str
    blob: str
    commit: str


def brought(git: Git, tip: str, prefix: str = "runbooks/") -> tuple[Brought, ...]:
    """All blobs that ever stood under `prefix` on the first-parent line of `tip`, newest first.

    Source: git-log(1), --raw, -z, --diff-merges=first-parent.
    """
    raw = git.run(
        "log", "--first-parent", "--diff-merges=first-parent", "--root", "--raw", "--no-abbrev", "--no-renames", "-z",
        "--format=%x01%H", tip, "--", prefix,
    )  # fmt: skip
    found = []
    for entry in raw.decode("utf-8", "surrogateescape").split("\x01")[1:]:
        commit, *fields = (field.strip("\n") for field in entry.split("\0"))
        for meta, path in zip(fields[::2], fields[1::2], strict=False):
            parts = meta.split()
            if len(parts) == 5 and parts[4] != "D":
                found.append(Brought(path, parts[3], commit))
    return tuple(found)
