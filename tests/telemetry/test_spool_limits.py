from __future__ import annotations

import os
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from learner.errors import LearnerError
from learner.models import ExecutionResult
from learner.telemetry.packs import Packs
from learner.telemetry.parse import encoded
from learner.telemetry.spool import Spool
from tests.telemetry.conftest import World, numbered
from tests.telemetry.test_killed import boundaries, killed_at


def large(number: int) -> ExecutionResult:
    return numbered(number, notes="a line of output\n" * 500)


def filled(path: Path, count: int = 130) -> Spool:
    """A spool of 1 MiB that had to pack its oldest."""
    spool = Spool(path, max_bytes=1 << 20)
    for number in range(count):
        spool.add(large(number))
    return spool


def test_the_oldest_are_packed_before_anything_is_refused(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    level = spool.level()
    assert level.waiting == 130
    assert level.bytes < 1 << 20 < 130 * len(encoded(large(1)))
    assert level.oldest is not None
    assert abs((datetime.now(UTC) - level.oldest).total_seconds()) < 600, "how long it waits, not when it ran"
    assert [entry.bytes for entry in spool.pending()] == [encoded(large(number)) for number in range(130)]
    assert spool.quarantined() == ()


def test_a_full_spool_refuses_loudly_and_drops_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=64 << 10)
    kept = 0
    with pytest.raises(LearnerError, match="is full") as refusal:
        for number in range(1000):
            spool.add(numbered(number, notes=os.urandom(4000).hex()))
            kept += 1
    assert "nothing was dropped" in (refusal.value.hint or "")
    assert len(spool.pending()) == kept > 3
    with pytest.raises(LearnerError, match="is full"):
        spool.ready()
    spool.purge([entry.execution_id for entry in spool.pending()])
    assert spool.level().waiting == 0


def test_what_is_a_day_old_is_packed(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(210):
        old = spool.add(numbered(number))
        os.utime(old, (time.time() - 90_000,) * 2)
    Spool(tmp_path).add(numbered(999))
    assert len(list((tmp_path / "packs").iterdir())) == 1
    assert spool.level().waiting == 211


def test_packed_results_travel_and_are_purged_like_others(world: World) -> None:
    filled(world.path / "web-1-spool")
    assert world.push("web-1").sent == 130
    assert world.fold().results == 130
    pushed = world.push("web-1")
    assert (pushed.acknowledged, pushed.remaining) == (130, 0)
    assert list((world.path / "web-1-spool" / "packs").iterdir()) == []


def test_one_of_a_pack_can_go_alone_and_one_id_stays_one(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    assert spool.purge(["exec-20261122-0000"]) == 1
    assert spool.level().waiting == 129
    spool.add(large(1))
    spool.add(numbered(2, notes="another"))
    assert spool.level().waiting == 129
    assert "another result with this id" in spool.quarantined()[0].reason


def test_a_damaged_pack_is_set_aside(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    for pack in (tmp_path / "packs").iterdir():
        pack.write_bytes(b"no zip")
    assert len(spool.pending()) < 130
    assert all("pack that can't be opened" in one.reason for one in spool.quarantined())
    assert spool.quarantined()


def test_killed_while_packing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    def pack(path: Path, step: object) -> None:
        Spool(path, max_bytes=1 << 20, step=step).add(large(999))  # type: ignore[arg-type]

    count = (1 << 18) // len(encoded(large(1)))

    def prepared(name: str) -> Path:
        spool = Spool(tmp_path / name, max_bytes=1 << 20)
        for number in range(count):
            spool.add(large(number))
        assert list((tmp_path / name / "packs").iterdir()) == []
        return tmp_path / name

    probe = prepared("probe")
    passed = boundaries(lambda step: pack(probe, step))
    assert {"packed", "pack kept", "loose dropped"} <= set(passed)
    for at in range(passed.index("loose dropped") + 1):
        path = prepared(f"run{at}")
        killed_at(at, lambda step, path=path: pack(path, step))
        ids = [entry.execution_id for entry in Spool(path).pending()]
        assert ids == [f"exec-20261122-{number:04d}" for number in range(count)]


def test_what_waits_keeps_its_age_when_it_is_packed_and_when_others_leave_the_pack(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    long_ago = time.time() - 9 * 86_400
    for number in range(210):
        os.utime(spool.add(numbered(number)), (long_ago,) * 2)
    spool = Spool(tmp_path)
    spool.ready()
    spool.purge(["exec-20261122-0000"])
    assert len(list((tmp_path / "packs").iterdir())) == 1
    assert spool.level().oldest == datetime.fromtimestamp(long_ago, UTC)


def test_damage_inside_a_pack_costs_what_is_damaged_and_stops_nothing(world: World) -> None:
    folder = world.path / "web-1-spool"
    filled(folder)
    [first, *_] = sorted((folder / "packs").iterdir())
    with zipfile.ZipFile(first) as pack:
        hurt = pack.infolist()[:2]
    raw = bytearray(first.read_bytes())
    for one in hurt:
        start = one.header_offset + 30 + len(one.filename)
        raw[start : start + 20] = b"\xff" * 20
    first.write_bytes(raw)
    # the pack is written anew without the damaged ones, so the rest of it goes with the next push
    assert world.push("web-1").sent + world.push("web-1").sent == 128
    told = "".join(f"{one.path} {one.reason}" for one in world.spool("web-1").quarantined())
    assert all(one.filename in told for one in hurt)
    assert world.fold().results == 128
    assert world.push("web-1").remaining == 0


def test_a_spool_that_is_emptied_while_another_packs_it_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(210):
        os.utime(spool.add(numbered(number)), (time.time() - 90_000,) * 2)
    gone = min((tmp_path / "pending").iterdir())
    gone.unlink()
    gone.symlink_to(tmp_path / "nowhere")  # listed, and no longer there: what one sees whom another overtakes
    Spool(tmp_path).add(numbered(999))
    assert len(list((tmp_path / "packs").iterdir())) == 1
    assert len(spool.pending()) == 210


def test_a_result_costs_the_same_however_many_wait(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    packs = Packs(tmp_path / "packs", lambda _step: None)
    for number in range(20):
        entries = ((f"2026-11-22~acme~exec-20261121-{number:02}{i:03}~{i:040x}.json", b"{}") for i in range(1000))
        packs.write(entries, time.time())
    begun = time.process_time()
    for number in range(40):
        spool.add(numbered(number))
    assert time.process_time() - begun < 2.0, "20,000 that wait are not looked through for each"
    assert spool.level().waiting == 20_040
