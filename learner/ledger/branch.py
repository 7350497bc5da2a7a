"""The branch `ledger`, read as values and written as one commit, without a checkout.

analyses/<YYYY>/<MM>/<run id>.json     what a run found and decided
reviews/<runbook version>.json         what became of a proposal
state.json                             the telemetry commit read last, and the folded state
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from learner.errors import LearnerError
from learner.repository import refs
from learner.repository.batch import objects, stream, tree_files
from learner.repository.git import Git, Identity
from learner.repository.objects import Change, blob_id, commit
from learner.repository.refs import Update
from learner.settings import TelemetrySettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_RETRIES = 5


class Analyses(Mapping[str, dict[str, Any]]):
    """Run id → what that run wrote; read from Git when asked for."""

    def __init__(self, git: Git, paths: Mapping[str, tuple[str, str]]) -> None:
        self._git = git
        self._paths = dict(paths)

    def __getitem__(self, run_id: str) -> dict[str, Any]:
        path, blob = self._paths[run_id]
        return _document(path, _content(self._git, blob))

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, run_id: str) -> str | None:
        """Where a run's analysis lies on the branch."""
        return self._paths[run_id][0] if run_id in self._paths else None


@dataclass(frozen=True)
class Ledger:
    """The branch at one commit."""

    commit: str | None
    """None when there is no ledger yet."""
    state: str | None
    reviews: Mapping[str, dict[str, Any]]
    """By runbook version, such as `RB-LIN-SERVICE-001-v2`."""
    analyses: Analyses = field(repr=False)


def read(git: Git, remote: str, settings: TelemetrySettings) -> Ledger:
    """The ledger as the remote holds it now.

    Raises: `GitError` when the remote can't be reached; `LearnerError` when a review is no JSON object.
    """
    tip = _fetch(git, remote, settings)
    return at(git, tip)


def write(
    git: Git,
    remote: str,
    settings: TelemetrySettings,
    *,
    author: Identity,
    now: datetime,
    analyses: Mapping[str, Any],
    reviews: Mapping[str, Any],
    state: str | None,
) -> str | None:
    """The new commit; None when the ledger holds all of this already. What is not named stays as it is.

    A lost race is run again on top of what won.

    Raises: `GitError` when the remote can't be reached or refuses; `LearnerError` for a name that fits no path, or
    when the race is lost again and again.
    """
    for name in (*analyses, *reviews):
        if not _NAME.fullmatch(name):
            raise LearnerError(
                f"{name!r} can't be the name of a ledger file", "letters, digits, dot, dash and underscore"
            )
    for _ in range(_RETRIES):
        tip = _fetch(git, remote, settings)
        before = at(git, tip)
        wanted: dict[str, bytes] = {}
        for run_id, analysis in analyses.items():
            wanted[before.analyses.path(run_id) or f"analyses/{now:%Y/%m}/{run_id}.json"] = _encoded(analysis)
        wanted |= {f"reviews/{ref}.json": _encoded(review) for ref, review in reviews.items()}
        if state is not None:
            wanted["state.json"] = state.encode()
        changes = _new(git, tip, wanted)
        if not changes:
            return None
        made = commit(
            git,
            changes,
            ref=refs.private(remote, "ledger-next"),
            parent=tip,
            message=_message(analyses, reviews),
            author=author,
            when=now,
        )
        if not refs.push(git, remote, [Update(f"refs/heads/{settings.ledger_branch}", made, tip)]):
            return made
    raise LearnerError(
        f"the branch {settings.ledger_branch} was moved by others {_RETRIES} times in a row",
        "run again; is another learner running?",
    )


def _fetch(git: Git, remote: str, settings: TelemetrySettings) -> str | None:
    branch = f"refs/heads/{settings.ledger_branch}"
    if branch not in refs.advertised(git, remote, branch):
        return None
    mine = refs.private(remote, "ledger")
    refs.fetch(git, remote, [f"+{branch}:{mine}"])
    return git.resolve(mine)


def at(git: Git, tip: str | None) -> Ledger:
    """The ledger at a commit that is held here; an empty one at None."""
    paths = dict(tree_files(git, tip)) if tip else {}
    analyses = {
        path.rpartition("/")[2].removesuffix(".json"): (path, blob)
        for path, blob in paths.items()
        if path.startswith("analyses/") and path.endswith(".json")
    }
    found = {path: blob for path, blob in paths.items() if path.startswith("reviews/") and path.endswith(".json")}
    contents = dict(stream(git, found.items()))
    content = _content(git, paths["state.json"]) if "state.json" in paths else None
    state = content.decode("utf-8", "replace") if content is not None else None
    reviews = {path[len("reviews/") : -len(".json")]: _document(path, raw) for path, raw in contents.items()}
    return Ledger(tip, state, reviews, Analyses(git, analyses))


def _new(git: Git, tip: str | None, wanted: Mapping[str, bytes]) -> dict[str, Change]:
    """What of `wanted` the branch does not hold already."""
    with objects(git) as reader:

        def there(path: str) -> str | None:
            found = reader.info(f"{tip}:{path}") if tip else None
            return found.oid if found else None

        return {path: content for path, content in wanted.items() if there(path) != blob_id(content)}


def _content(git: Git, blob: str) -> bytes | None:
    return dict(stream(git, [("", blob)])).get("")


def _document(path: str, raw: bytes | None) -> dict[str, Any]:
    try:
        tree = json.loads(raw or b"")
    except ValueError as e:
        raise LearnerError(f"ledger: {path}: {e}", "correct that file on the ledger branch, or remove it") from e
    if not isinstance(tree, dict):
        raise LearnerError(
            f"ledger: {path} holds no JSON object", "correct that file on the ledger branch, or remove it"
        )
    return tree


def _encoded(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def _message(analyses: Mapping[str, Any], reviews: Mapping[str, Any]) -> str:
    parts = [*(f"analysis {run_id}" for run_id in sorted(analyses)), *(f"review {ref}" for ref in sorted(reviews))]
    return f"Record {', '.join(parts) if parts else 'the state'}\n"
