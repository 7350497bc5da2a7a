"""Appending, folding and archiving: one writer, sixty-four writers, and the same over one shared branch."""

from __future__ import annotations

import io
import multiprocessing
import random
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.telemetry.data import raw, repository, result
from benchmarks.telemetry.table import Figure, least, most, timed
from learner.repository import refs
from learner.repository.git import Git, Identity, init
from learner.repository.objects import commit
from learner.repository.refs import Update
from learner.settings import TelemetrySettings
from learner.telemetry import inbox
from learner.telemetry.archive import archive
from learner.telemetry.fold import fold
from learner.telemetry.spool import Spool

WHO = Identity("bench", "bench@example.org")
NOW = datetime(2026, 12, 1, tzinfo=UTC)
SETTINGS = TelemetrySettings()
WORD = re.compile("layout|v[0-9]+")


def figures(folder: Path, small: int, large: int, writers: int, seconds: float, *, full: bool) -> Iterator[Figure]:
    """One after the other, as they are measured."""
    yield _append(folder, min(1000, small), large, counts=full)
    yield from _crowd(folder, writers, seconds, counts=full)
    yield _folding(folder, small, counts=full)
    yield _archiving(folder, small, counts=full)


def _copy(folder: Path, source: Git, name: str) -> Git:
    """A remote with the same branch, that shares the objects of `source`."""
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    git = init(target, bare=True)
    (target / "objects" / "info").mkdir(exist_ok=True)
    (target / "objects" / "info" / "alternates").write_text(f"{source.path / 'objects'}\n")
    git.run("update-ref", "refs/heads/telemetry", source.resolve("telemetry") or "")
    return git


def _clone(folder: Path, name: str, remote: Git) -> Git:
    shutil.rmtree(folder / name, ignore_errors=True)
    git = init(folder / name)
    git.run("remote", "add", "origin", str(remote.path))
    return git


def _append(folder: Path, little: int, large: int, *, counts: bool) -> Figure:
    hosts: list[tuple[Spool, Git, list[float]]] = []
    for count in (little, large):
        remote = _copy(folder, repository(folder / f"plain-{count}.git", count), f"append-{count}.git")
        clone = _clone(folder, f"append-{count}", remote)
        shutil.rmtree(folder / f"append-{count}-spool", ignore_errors=True)
        hosts.append((Spool(folder / f"append-{count}-spool"), clone, []))
    for number in range(25):
        for spool, clone, took in hosts:  # in turn, so that the machine's moods hit both
            spool.add(result(900_000_000 + number).model_copy(update={"client_id": "acme"}))
            with timed() as seconds:
                pushed = _push(spool, clone, "bench")
            assert pushed.sent == 1, pushed
            took.append(seconds()[0])
            spool.purge([entry.execution_id for entry in spool.pending()])
    medians = [statistics.median(took[3:]) for _, _, took in hosts]
    said = f"  ({medians[0] * 1000:.0f} → {medians[1] * 1000:.0f} ms)"
    return most(f"append: {large:,} of history over {little:,}", medians[1] / medians[0], 1.3, said=said, counts=counts)


def _push(spool: Spool, clone: Git, name: str) -> inbox.Pushed:
    return inbox.push(spool, clone, "origin", client_id="acme", executor_id=name, author=WHO, now=NOW)


@dataclass
class _Tally:
    latencies: list[float] = field(default_factory=list)
    results: int = 0
    retries: int = 0


def _crowd(folder: Path, writers: int, seconds: float, *, counts: bool) -> Iterator[Figure]:
    """Everybody writes for a while, each to its own ref; then folded; then the same to one shared branch."""
    rates = {}
    for batch in (1, 20):
        remote = init(_fresh(folder / f"crowd-{batch}.git"), bare=True)
        tally = _run(writers, seconds, _own_ref(folder, remote, writers, batch))
        begun = time.perf_counter()
        learner = _clone(folder, "crowd-learner", remote)
        fold(learner, "origin", settings=SETTINGS, author=WHO, now=NOW)
        fold_seconds = time.perf_counter() - begun
        files = [path for path in remote.listing("telemetry") if path.startswith("telemetry/")]
        lost, doubled = tally.results - len(set(files)), len(files) - len({Path(path).name for path in files})
        rates[batch] = tally.results / seconds
        if batch == 1:
            p99 = statistics.quantiles(tally.latencies, n=100)[98]
            said = f"  ({rates[1]:.0f} results/s; folded in {fold_seconds:.1f} s)"
            clean = (lost, doubled, tally.retries) == (0, 0, 0)
            yield Figure(
                f"{writers} writers, {seconds:g} s: lost, doubled, retries",
                f"{lost}, {doubled}, {tally.retries}{said}",
                "0, 0, 0",
                clean,
            )
            yield most(f"{writers} writers: p99", p99, 3, " s", counts=counts)
        assert (lost, doubled) == (0, 0)
    shared = init(_fresh(folder / "shared.git"), bare=True)
    tally = _run(writers, seconds, _shared_branch(folder, shared, writers))
    rate = max(tally.results, 1) / seconds
    said = f"  ({rates[1]:.0f} against {rate:.1f} results/s with {tally.retries} retries)"
    yield least(f"{writers} writers over one shared branch, single", rates[1] / rate, 20, "×", said=said, counts=counts)
    yield least(
        f"{writers} writers over one shared branch, batches of 20",
        rates[20] / rate,
        250,
        "×",
        said=f"  ({rates[20]:.0f} results/s)",
        counts=counts,
    )


def _run(writers: int, seconds: float, writer: Callable[[int, float, _Tally], None]) -> _Tally:
    """What all writers counted together. Each is a process, as hosts share neither a machine nor an interpreter."""
    processes = multiprocessing.get_context("fork")
    end = time.monotonic() + seconds
    counted: multiprocessing.Queue[_Tally] = processes.Queue()

    def count(index: int) -> None:
        tally = _Tally()
        try:
            writer(index, end, tally)
        finally:
            counted.put(tally)

    started = [processes.Process(target=count, args=(index,)) for index in range(writers)]
    for process in started:
        process.start()
    whole = _Tally()
    for tally in (counted.get() for _ in started):
        whole.latencies += tally.latencies
        whole.results += tally.results
        whole.retries += tally.retries
    for process in started:
        process.join()
        assert process.exitcode == 0
    return whole


def _set_up(folder: Path, remote: Git, writers: int) -> list[Git]:
    """A clone for each writer, made before the clock runs: hosts are set up long before they report."""
    return [_clone(folder, f"writer-{index}", remote) for index in range(writers)]


def _own_ref(folder: Path, remote: Git, writers: int, batch: int) -> Callable[[int, float, _Tally], None]:
    clones = _set_up(folder, remote, writers)
    spools = [Spool(_fresh(folder / f"writer-{index}-spool")) for index in range(writers)]

    def write(index: int, end: float, tally: _Tally) -> None:
        clone, spool, number = clones[index], spools[index], 0
        while time.monotonic() < end:
            for _ in range(batch):
                one = result(10_000_000 + index * 100_000 + number)
                spool.add(one.model_copy(update={"client_id": "acme"}))
                number += 1
            begun = time.monotonic()
            commits: list[str] = []
            inbox.push(
                spool,
                clone,
                "origin",
                client_id="acme",
                executor_id=f"w{index}",
                author=WHO,
                now=NOW,
                step=commits.append,
            )
            tally.latencies.append(time.monotonic() - begun)
            tally.retries += commits.count("committed") - 1
            tally.results += batch

    return write


def _shared_branch(folder: Path, remote: Git, writers: int) -> Callable[[int, float, _Tally], None]:
    """The plain way: fetch the branch, commit on top, push, and again when somebody was faster."""
    clones = _set_up(folder, remote, writers)

    def write(index: int, end: float, tally: _Tally) -> None:
        clone = clones[index]
        chance = random.Random(index)
        number = 0
        while time.monotonic() < end:
            path, content = raw(20_000_000 + index * 100_000 + number)
            while time.monotonic() < end:
                there = refs.advertised(clone, "origin", "refs/heads/telemetry").get("refs/heads/telemetry")
                if there:
                    refs.fetch(clone, "origin", ["+refs/heads/telemetry:refs/t"])
                    there = clone.resolve("refs/t")
                made = commit(clone, {path: content}, ref="refs/m", parent=there, message="m\n", author=WHO, when=NOW)
                if not refs.push(clone, "origin", [Update("refs/heads/telemetry", made, there)]):
                    tally.results += 1
                    number += 1
                    break
                tally.retries += 1
                time.sleep(chance.random() * 0.2)

    return write


def _folding(folder: Path, small: int, *, counts: bool) -> Figure:
    remote = _copy(folder, repository(folder / f"plain-{small}.git", small), "folding.git")
    executors, each = 20, 200
    for executor in range(executors):
        changes = {}
        for number in range(each):
            one = result(30_000_000 + executor * 1000 + number).model_copy(update={"client_id": "acme"})
            changes[one.path] = one.model_dump_json().encode()
        made = commit(remote, changes, ref="refs/bench/inbox", parent=None, message="m\n", author=WHO, when=NOW)
        remote.run("update-ref", f"refs/learner/inbox/acme/e{executor}", made)
    learner = _clone(folder, "folding", remote)
    refs.fetch(learner, "origin", [f"+refs/heads/telemetry:{refs.private('origin', 'telemetry')}"])
    with timed() as took:
        folded = fold(learner, "origin", settings=SETTINGS, author=WHO, now=NOW)
    assert folded.results == executors * each, folded
    return least(f"folding at {small:,} files", folded.results / took()[0], 700, " results/s", counts=counts)


def _archiving(folder: Path, small: int, *, counts: bool) -> Figure:
    remote = _copy(folder, repository(folder / f"plain-{small}.git", small), "archiving.git")
    learner = _clone(folder, "archiving", remote)
    refs.fetch(learner, "origin", [f"+refs/heads/telemetry:{refs.private('origin', 'telemetry')}"])
    tip = remote.resolve("telemetry") or ""
    with timed() as took:
        done = archive(learner, "origin", tip, settings=SETTINGS, author=WHO, now=NOW, before=date(2027, 1, 1))
    assert sum(done.months.values()) == small
    pq: Any = import_module("pyarrow.parquet")
    slim = whole = 0
    for path, oid in remote.listing("telemetry", "telemetry/archive/").items():
        content = remote.run("cat-file", "blob", oid)
        whole += len(content)
        if path.endswith(".parquet"):
            found = pq.read_metadata(io.BytesIO(content))
            groups = [found.row_group(i) for i in range(found.num_row_groups)]
            columns = [group.column(i) for group in groups for i in range(group.num_columns)]
            slim += sum(one.total_compressed_size for one in columns if not WORD.fullmatch(one.path_in_schema))
    said = f"  (slim columns alone {slim / small / 10:.1f} MB; {took()[0]:.0f} s)"
    return most("slim archive with raw JSON, per 100,000", whole / small / 10, 12, " MB", said=said, counts=counts)


def _fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    return path
