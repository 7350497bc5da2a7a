"""Collecting: all of it, what is new, and what is new without history."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks.telemetry.data import raw, repository
from benchmarks.telemetry.table import Figure, median_seconds, most, timed
from learner.models.execution import ExecutionResult
from learner.models.fold import Held, add_counts, keep_smallest, smallest_of
from learner.repository.batch import in_pack_order, stream, tree_files
from learner.repository.git import Git, Identity, environment, init
from learner.repository.lean import beside
from learner.repository.objects import commit
from learner.repository.refs import fetch
from learner.telemetry.collect import collect
from learner.telemetry.state import State

Side: TypeAlias = tuple[Git, int, State]
"""A repository, how many results it holds, and the state of them."""
WHO = Identity("bench", "bench@example.org")
NOW = datetime(2026, 12, 1, tzinfo=UTC)
NEW = 200


class Failures:
    """A fold of the size that clusters have: counts by runbook and error, with a little evidence."""

    name = "failures"
    version = 1

    def add(self, held: Held, result: ExecutionResult) -> None:
        runs = held.setdefault("runs", {})
        runs[result.runbook_ref] = runs.get(result.runbook_ref, 0) + 1
        if result.failed:
            one = held.setdefault("clusters", {}).setdefault(f"{result.runbook_ref}/{result.error_message}", {})
            one["failures"] = one.get("failures", 0) + 1
            one["evidence"] = keep_smallest(
                one.get("evidence", []), [f"{result.started_at:%Y-%m-%dT%H:%M:%S}", result.execution_id], 8
            )

    def merge(self, held: Held, other: Held) -> None:
        add_counts(held.setdefault("runs", {}), other.get("runs", {}))
        for key, theirs in other.get("clusters", {}).items():
            one = held.setdefault("clusters", {}).setdefault(key, theirs)
            if one is not theirs:
                one["failures"] += theirs["failures"]
                one["evidence"] = smallest_of(one["evidence"], theirs["evidence"], 8)


FOLDS = (Failures(),)


def figures(folder: Path, small: int, large: int, *, full: bool) -> Iterator[Figure]:
    """One after the other, as they are measured."""
    plain = repository(folder / f"plain-{small}.git", small)
    shuffled = repository(folder / f"shuffled-{small}.git", small, shuffled=True)
    big = repository(folder / f"plain-{large}.git", large)
    yield from _full_pass(plain, shuffled, counts=full)
    # one pass over the large one serves all: it is measured in a process of its own and leaves its state behind
    megabytes, large_state = _measured_pass(big)
    yield most(f"memory of a pass over {large:,}, workers and all", megabytes, 400, " MB", counts=full)
    sides = ((plain, small, _measured_pass(plain)[1]), (big, large, large_state))
    yield from _increment(sides, counts=full)
    yield from _lean(sides, counts=full)


def _full_pass(plain: Git, shuffled: Git, *, counts: bool) -> Iterator[Figure]:
    took: dict[str, tuple[float, float]] = {}
    for name, git in (("plain", plain), ("shuffled", shuffled)):
        tip = git.resolve("telemetry")
        with timed() as seconds:
            found = collect(git, tip, FOLDS, None, workers=1)
        took[name] = seconds()
        assert not found.skipped
    with timed() as crew:
        assert collect(plain, plain.resolve("telemetry"), FOLDS, None).new == found.new
    floor_git, floor_model = _floor(plain)
    floor = floor_git + floor_model
    wall, cpu = took["plain"]
    said = f"  ({cpu:.1f} s over {floor_git:.1f} + {floor_model:.1f} s; {wall:.1f} s by the clock)"
    yield most(
        f"full pass of {found.new:,}: CPU over cat-file and validation", cpu / floor, 1.2, said=said, counts=counts
    )
    yield Figure(
        "the same with a worker a core, by the clock",
        f"{crew()[0] / wall:.2f}×  ({crew()[0]:.1f} s; {crew()[1] / cpu:.2f}× the CPU)",
        "-",
        None,
    )
    wall, cpu = took["shuffled"]
    yield most(
        "the same on a pack in any order, over that",
        cpu / took["plain"][1],
        2,
        said=f"  ({wall:.1f} s by the clock)",
        counts=counts,
    )


def _floor(git: Git) -> tuple[float, float]:
    """CPU seconds of git giving all bytes to nobody, and of validating them when they are in memory."""
    tip = git.resolve("telemetry") or ""
    files = list(in_pack_order(git, tree_files(git, tip, "telemetry/")))
    with tempfile.TemporaryFile() as questions:
        questions.write("".join(f"{oid}\n" for _, oid in files).encode())
        questions.seek(0)
        with timed() as git_took:
            subprocess.run(
                ["git", "cat-file", "--batch", "--buffer"],
                cwd=git.path,
                stdin=questions,
                stdout=subprocess.DEVNULL,
                env=environment(),
                check=True,
            )
    model_took = 0.0
    contents: list[bytes] = []
    # in parts, so that the floor does not need the memory of all of it
    for part in (files[i : i + 20_000] for i in range(0, len(files), 20_000)):
        contents = [content or b"" for _, content in stream(git, part)]
        with timed() as took:
            for content in contents:
                ExecutionResult.model_validate_json(content)
        model_took += took()[1]
    return git_took()[1], model_took


def _grown(git: Git, count: int) -> str:
    """A commit with `NEW` more results on top of the branch."""
    tip = git.resolve("telemetry")
    changes = dict(raw(number) for number in range(count, count + NEW))
    return commit(git, changes, ref="refs/bench/grown", parent=tip, message="m\n", author=WHO, when=NOW)


def _increment(sides: tuple[Side, Side], *, counts: bool) -> Iterator[Figure]:
    seconds = []
    for git, count, state in sides:
        grown = _grown(git, count)
        assert collect(git, grown, FOLDS, state).new == NEW
        seconds.append(median_seconds(partial(collect, git, grown, FOLDS, state), 15))
    (_, small, _), (_, large, _) = sides
    said = f"  ({seconds[0] * 1000:.0f} → {seconds[1] * 1000:.0f} ms)"
    yield most(
        f"{NEW} new on {large:,} over {NEW} new on {small:,}", seconds[1] / seconds[0], 1.2, said=said, counts=counts
    )


def _lean(sides: tuple[Side, Side], *, counts: bool) -> Iterator[Figure]:
    sizes = []
    for git, count, state in sides:
        git.run("config", "uploadpack.allowFilter", "true")
        git.run("config", "uploadpack.allowAnySHA1InWant", "true")
        grown = _grown(git, count)
        folder = git.path.parent / "lean.git"
        shutil.rmtree(folder, ignore_errors=True)
        lean = beside(git, f"file://{git.path}", folder)
        # packs stay packs, so that their size is what came
        lean.git.run("config", "fetch.unpackLimit", "1")
        lean.commits([grown])
        got = collect(lean.git, grown, FOLDS, state, lean=lean)
        assert (got.new, got.rebuilt) == (NEW, None)
        sizes.append(sum(pack.stat().st_size for pack in folder.glob("objects/pack/*.pack")) / NEW)
        shutil.rmtree(folder)
    yield most("bytes fetched per new result by an empty runner", max(sizes) / 1000, 2.5, " kB", counts=counts)
    (plain, small, _), (_, large, _) = sides
    said = f"  ({sizes[0]:.0f} → {sizes[1]:.0f} B)"
    whole = _whole(plain) / NEW / 1000
    yield Figure(f"the same when history is fetched, at {small:,}", f"{whole:.0f} kB", "-", None)
    yield most(f"the same, {large:,} over {small:,}", sizes[1] / sizes[0], 1.2, said=said, counts=counts)


def _whole(git: Git) -> int:
    """Bytes that a clone of the grown branch takes from the server."""
    folder = git.path.parent / "whole.git"
    shutil.rmtree(folder, ignore_errors=True)
    whole = init(folder, bare=True)
    fetch(whole, f"file://{git.path}", ["+refs/bench/grown:refs/heads/telemetry"])
    size = sum(pack.stat().st_size for pack in folder.glob("objects/pack/*.pack"))
    size += sum(loose.stat().st_size for loose in folder.glob("objects/??/*"))
    shutil.rmtree(folder)
    return size


def _measured_pass(git: Git) -> tuple[float, State]:
    """The most memory in MB that a full pass holds, its workers' with it, and the state it gave."""
    argv = [sys.executable, "-m", "benchmarks.telemetry.one_pass", str(git.path)]
    said = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode()
    megabytes, _, state = said.partition("\n")
    parsed = State.parse(state)
    assert parsed
    return float(megabytes), parsed
