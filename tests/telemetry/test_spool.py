from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from learner.errors import LearnerError
from learner.repository.objects import blob_id
from learner.telemetry.parse import encoded
from learner.telemetry.spool import Spool
from tests.telemetry.conftest import numbered


def test_what_was_added_is_pending_with_its_path_and_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    kept = spool.add(numbered(1))
    [entry] = spool.pending()
    assert entry.execution_id == "exec-20261122-0001"
    assert entry.path_in_repo == numbered(1).path
    assert entry.bytes == encoded(numbered(1)) == kept.read_bytes()
    assert entry.blob == blob_id(entry.bytes)


def test_the_same_again_is_one_and_another_content_is_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first = spool.add(numbered(1))
    assert spool.add(numbered(1)) == first
    assert spool.add(numbered(1, notes="different")) != first
    assert len(spool.pending()) == 1
    [aside] = spool.quarantined()
    assert "another result with this id" in aside.reason
    assert (tmp_path / "aside" / aside.path).read_bytes() == encoded(numbered(1, notes="different"))


def test_purge_takes_out_what_is_named_and_nothing_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.add(numbered(number))
    assert spool.purge(["exec-20261122-0001", "exec-20261122-9999"]) == 1
    assert [entry.execution_id for entry in spool.pending()] == ["exec-20261122-0000", "exec-20261122-0002"]


def test_a_damaged_entry_is_set_aside_with_a_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(numbered(1)).write_bytes(b"")
    [entry] = spool.pending()
    assert spool.whole(entry) is None
    assert "damaged" in spool.quarantined()[0].reason
    assert spool.pending() == []


def test_a_strange_file_is_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "pending" / "core").write_bytes(b"x")
    assert spool.pending() == []
    assert [one.path for one in spool.quarantined()] == ["core"]


def test_too_large_is_refused_loudly(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="more than the 1024"):
        Spool(tmp_path, max_result_bytes=1024).add(numbered(1))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_writer_had_written_whole_is_taken_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    kept = spool.add(numbered(1))
    old = time.time() - 3600
    whole = kept.rename(tmp_path / "tmp" / f"{kept.name}.1-00")
    cut = tmp_path / "tmp" / f"{kept.name.replace('0001', '0002')}.1-00"
    cut.write_bytes(b"half")
    for file in (whole, cut):
        os.utime(file, (old, old))
    assert [entry.execution_id for entry in spool.pending()] == ["exec-20261122-0001"]
    assert [one.reason for one in spool.quarantined()] == ["cut short while it was written"]
    assert list((tmp_path / "tmp").iterdir()) == []


def _write(path: Path, writer: int, count: int) -> None:
    spool = Spool(path)
    for number in range(count):
        spool.add(numbered(number))
        spool.add(numbered(100 * (writer + 1) + number))


def test_several_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, writer, 10)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(Spool(tmp_path).pending()) == 10 + 40
    assert Spool(tmp_path).quarantined() == ()


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LearnerError, match="spool"):
        Spool(tmp_path / "file" / "spool")
