"""Reading telemetry: what is new since the state's commit is folded into the state; everything, when it must be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from pathlib import Path

from learner.archives.read import ids
from learner.models.execution import ExecutionResult
from learner.models.fold import Fold
from learner.models.records import SkippedFile
from learner.repository.batch import FOLDER, in_pack_order, objects, stream, tree_files
from learner.repository.git import Git
from learner.repository.lean import Lean
from learner.telemetry import parse, reading
from learner.telemetry.crew import WORTH, Part, hands, summed
from learner.telemetry.news import news
from learner.telemetry.plain import plain
from learner.telemetry.state import FoldState, State

Progress = Callable[[int], None]
"""Told how many results were read, now and then."""
_TOLD_EVERY = 500


@dataclass(frozen=True)
class Collected:
    """The state after reading, and what reading met."""

    state: State
    new: int
    """Results folded in by this reading."""
    skipped: tuple[SkippedFile, ...] = ()
    """Files read now that are no results."""
    rebuilt: str | None = None
    """Why everything was read; None when only what is new was."""


def collect(
    git: Git,
    commit: str | None,
    folds: Sequence[Fold],
    state: State | None,
    *,
    lean: Lean | None = None,
    max_bytes: int = parse.MAX_BYTES,
    progress: Progress = lambda _count: None,
    workers: int | None = None,
) -> Collected:
    """The state of `commit`. Byte for byte the same, whether it was carried on from `state` or made from scratch.

    The state is a function of the files at `commit`, so it is carried on only when files were added and none was
    changed or taken away since. With `lean`, a repository that holds next to nothing, what is new is fetched. Much is
    read by several processes, `workers` (as many as there are cores when None).

    Raises: `GitError` when `commit` can't be read.
    """
    git = lean.git if lean else git
    told = news(git, lean, commit, folds, state)
    rebuild = state is None or told.rebuild is not None
    if state is None or rebuild:
        base = State(folds={fold.name: FoldState(fold.version, {}) for fold in folds})
    else:
        base = copy.deepcopy(state) if told.files or told.archived else state
    sums = _Sums(base, folds, progress)
    if not rebuild:
        sums.read(reading.files(git, told.files, max_bytes))
        for blob, paths in told.archived:
            sums.read(reading.archived(git, blob, paths, max_bytes))
    elif commit:
        if lean:
            lean.everything(commit)
        files, archives = reading.laid_out(git, commit)
        many, workers = len(files) >= WORTH, workers or hands()
        ordered = in_pack_order(git, _handed_over(files))
        if many and workers > 1:
            for part in summed(git, ordered, folds, max_bytes, workers):
                sums.merge(part)
        else:
            sums.read(reading.files(git, ordered, max_bytes))
        for path, blob in archives:
            if path.endswith(".parquet"):
                sums.read(reading.archived(git, blob, None, max_bytes))
    return Collected(sums.state(commit), sums.new, tuple(sums.skipped), told.rebuild)


def _handed_over(files: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each of `files` in turn, which is empty afterwards: half a million of them are not held twice."""
    files.reverse()
    while files:
        yield files.pop()


def from_folder(
    path: Path, folds: Sequence[Fold], *, max_bytes: int = parse.MAX_BYTES, progress: Progress = lambda _count: None
) -> Collected:
    """The state of a plain folder (`*.json` and `*.jsonl` anywhere in it) or of one such file, without any Git.

    Raises: `LearnerError` when there is nothing at `path`.
    """
    sums = _Sums(State(folds={fold.name: FoldState(fold.version, {}) for fold in folds}), folds, progress)
    seen: dict[tuple[str, str], int] = {}

    def different() -> Iterator[tuple[str, ExecutionResult | str]]:
        for name, found in plain(path, max_bytes):
            if not isinstance(found, ExecutionResult):
                yield name, found
                continue
            key, content = (found.client_id, found.execution_id), hash(found.model_dump_json())
            if key not in seen:
                yield name, found
            elif seen[key] != content:
                yield name, f"another result with the id {found.execution_id} was read before"
            seen.setdefault(key, content)

    sums.read(different())
    return Collected(sums.state(None), sums.new, tuple(sums.skipped), None)


def results(
    git: Git,
    commit: str | None,
    execution_ids: Iterable[str],
    *,
    lean: Lean | None = None,
    max_bytes: int = parse.MAX_BYTES,
) -> dict[str, ExecutionResult]:
    """Execution id → result, for those that `commit` holds.

    An id's own date tells where it most likely lies; only when it does not lie there are all paths looked through.

    Raises: `GitError` when `commit` can't be read.
    """
    wanted = set(execution_ids)
    if commit is None or not wanted:
        return {}
    git = lean.git if lean else git
    places = _likely(git, lean, commit, wanted)
    archives: dict[str, str] = {}
    if missing := wanted - places.keys():
        if lean:
            lean.everything(commit)
        for path, blob in tree_files(git, commit, parse.ROOT):
            if path.startswith(parse.ARCHIVE):
                archives[path] = blob
            elif (execution_id := _id(path)) in missing and parse.place(path):
                places.setdefault(execution_id, (path, blob))
    reads = [reading.files(git, sorted(places.values()), max_bytes)]
    for path, content in stream(git, [(path, blob) for path, blob in archives.items() if path.endswith(".ids")]):
        if there := frozenset(one for one in ids(content or b"") if _id(one) in wanted - places.keys()):
            reads.append(reading.archived(git, archives[path.removesuffix(".ids") + ".parquet"], there, max_bytes))
    return {found.execution_id: found for _, found in chain(*reads) if isinstance(found, ExecutionResult)}


def results_from_folder(
    path: Path, execution_ids: Iterable[str], *, max_bytes: int = parse.MAX_BYTES
) -> dict[str, ExecutionResult]:
    """Execution id → result, for those that a plain folder or file holds.

    Raises: `LearnerError` when there is nothing at `path`.
    """
    wanted = set(execution_ids)
    found: dict[str, ExecutionResult] = {}
    for _, one in plain(path, max_bytes):
        if isinstance(one, ExecutionResult) and one.execution_id in wanted:
            found.setdefault(one.execution_id, one)
    return found


class _Sums:
    """The folds at work on their own copy of what is held."""

    def __init__(self, base: State, folds: Sequence[Fold], progress: Progress) -> None:
        self._base = base
        self._pairs = [(fold, base.folds[fold.name].held) for fold in folds]
        self._progress = progress
        self.new = 0
        self.skipped: list[SkippedFile] = []

    def read(self, found: Iterable[tuple[str, ExecutionResult | str]]) -> None:
        for path, one in found:
            if isinstance(one, ExecutionResult):
                self.add(one)
            else:
                self.skipped.append(SkippedFile(path=path, reason=one))

    def add(self, result: ExecutionResult) -> None:
        for fold, held in self._pairs:
            fold.add(held, result)
        self.new += 1
        if self.new % _TOLD_EVERY == 0:
            self._progress(self.new)

    def merge(self, part: Part) -> None:
        for fold, held in self._pairs:
            fold.merge(held, part.held[fold.name])
        self.new += part.count
        self.skipped += part.skipped
        self._progress(self.new)

    def state(self, commit: str | None) -> State:
        return State(commit, self._base.results + self.new, self._base.folds)


def _id(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")


def _likely(git: Git, lean: Lean | None, commit: str, execution_ids: set[str]) -> dict[str, tuple[str, str]]:
    """Execution id → (path, blob id), for ids that lie at the date they carry or a day beside it."""
    root = parse.ROOT.rstrip("/")
    if lean:
        lean.commits([commit])
        lean.folders(commit, [root])
    with objects(git) as reader:
        clients = [entry.name for entry in reader.tree(f"{commit}:{root}") if entry.mode == FOLDER]
    days = {day for execution_id in execution_ids for day in _around(execution_id[5:13])}
    folders = [f"{root}/{client}/{day}" for client in clients for day in sorted(days)]
    if lean:
        lean.folders(commit, folders)
    found: dict[str, tuple[str, str]] = {}
    with objects(git) as reader:
        for folder in folders:
            for entry in reader.tree(f"{commit}:{folder}"):
                path = f"{folder}/{entry.name}"
                if _id(path) in execution_ids and parse.place(path):
                    found.setdefault(_id(path), (path, entry.oid))
    if lean:
        lean.blobs(blob for _, blob in found.values())
    return found


def _around(digits: str) -> list[str]:
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        return [(day + timedelta(days=d)).isoformat().replace("-", "/") for d in (0, -1, 1)]
    except (ValueError, OverflowError):
        return []
