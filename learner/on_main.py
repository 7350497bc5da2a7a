"""What `main` holds and held: runbooks, repair patterns, and every version that people ever merged."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from learner.errors import LearnerError
from learner.models import SkippedFile
from learner.proposals import patterns
from learner.proposals.merged import Improvement, improvements, proposed
from learner.proposals.patterns import Pattern
from learner.report.metrics import versions
from learner.repository.batch import stream
from learner.repository.git import Git
from learner.repository.history import brought
from learner.runbook_file import InvalidRunbook, RunbookFile, parse
from learner.telemetry.state import State

RUNBOOKS = "runbooks/"
PATTERNS = "runbooks/patterns/"


def current_runbooks(git: Git, commit: str) -> tuple[dict[str, RunbookFile], tuple[SkippedFile, ...]]:
    """The runbooks of a commit by id, and the files that are none, with the reason: those are never run."""
    found: dict[str, RunbookFile] = {}
    broken = []
    paths = sorted(git.listing(commit, RUNBOOKS).items())
    wanted = [(p, blob) for p, blob in paths if p.endswith(".yaml") and not p.startswith(PATTERNS)]
    for path, content in stream(git, wanted):
        try:
            file = parse(content or b"", path)
        except InvalidRunbook as e:
            broken.append(SkippedFile(path=path, reason=str(e.problems[0])))
            continue
        if file.runbook.path != path or file.runbook.id in found:
            broken.append(SkippedFile(path=path, reason=f"{file.runbook.id} belongs at {file.runbook.path}, once"))
            continue
        found[file.runbook.id] = file
    return found, tuple(broken)


def repair_patterns(git: Git, commit: str) -> tuple[tuple[Pattern, ...], tuple[SkippedFile, ...]]:
    """The repair patterns of a commit, and the files that are none, with the reason.

    They are data that people merged, never code; one that a machine wrote is not here before a person merged it.
    """
    found: dict[str, Pattern] = {}
    broken = []
    wanted = [(p, blob) for p, blob in sorted(git.listing(commit, PATTERNS).items()) if p.endswith(".yaml")]
    for path, content in stream(git, wanted):
        try:
            (pattern,) = patterns.load([(path, content or b"")])
        except LearnerError as e:
            broken.append(SkippedFile(path=path, reason=e.message.removeprefix(f"{path}:")))
            continue
        if PurePosixPath(path).stem != pattern.id:
            broken.append(SkippedFile(path=path, reason=f"{pattern.id} belongs at {PATTERNS}{pattern.id}.yaml"))
            continue
        found[pattern.id] = pattern
    return tuple(found.values()), tuple(broken)


def approved_blobs(git: Git, commit: str) -> dict[str, frozenset[str]]:
    """Runbook version → the blobs that `main` ever held of it."""
    found: dict[str, set[str]] = {}
    for blob, file in _ever(git, [item.blob for item in brought(git, commit) if not item.path.startswith(PATTERNS)]):
        found.setdefault(file.runbook.ref, set()).add(blob)
    return {ref: frozenset(blobs) for ref, blobs in found.items()}


def merged_versions(git: Git, commit: str, runbook_ids: Collection[str]) -> dict[str, tuple[RunbookFile, ...]]:
    """Every version that `main` ever held of these runbooks, by `RB-…-v2`; of several texts of one the newest first."""
    if not runbook_ids:
        return {}
    names = {f"{runbook_id}.yaml" for runbook_id in runbook_ids}
    wanted = [item.blob for item in brought(git, commit) if PurePosixPath(item.path).name in names]
    found: dict[str, list[RunbookFile]] = {}
    for _, file in _ever(git, dict.fromkeys(wanted)):
        found.setdefault(file.runbook.ref, []).append(file)
    return {ref: tuple(files) for ref, files in found.items()}


def improvements_on_main(
    git: Git,
    commit: str,
    reviews: Mapping[str, Mapping[str, Any]],
    state: State,
    current: Mapping[str, RunbookFile],
) -> tuple[Improvement, ...]:
    """The ledger's edits that `main` took over, with the judged runs of both versions."""
    held = merged_versions(git, commit, proposed(reviews))
    approved = {ref: frozenset(file.blob for file in files) for ref, files in held.items()}
    counted = {ref: blobs for ref, blobs in state.held("versions").items() if ref in held}
    scores = {version.ref: version.score for version in versions(counted, approved)}
    return improvements(reviews, held, scores, current)


def digest(found: Sequence[Pattern]) -> str:
    """12 hex digits of the repair patterns on `main`; empty when they are those of this package."""
    ours = {pattern.id: pattern for pattern in patterns.builtin()}
    own = [pattern.model_dump_json() for pattern in found if ours.get(pattern.id) != pattern]
    return hashlib.sha256("\n".join(own).encode()).hexdigest()[:12] if own else ""


def _ever(git: Git, blobs: Collection[str]) -> Iterator[tuple[str, RunbookFile]]:
    for blob, content in stream(git, [(blob, blob) for blob in blobs]):
        try:
            yield blob, parse(content or b"")
        except LearnerError:
            continue  # what was no runbook then never ran
