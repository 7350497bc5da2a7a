"""Every fault that telemetry must survive; `python -m tests.telemetry.faults` prints them one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.telemetry.faults import every_fault, tried

PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_no_fault_loses_or_doubles_a_result(tmp_path: Path, part: int) -> None:
    faults = list(every_fault())
    assert len(faults) > 50
    found = {}
    for number, (name, fault) in enumerate(faults[part::PARTS]):
        (tmp_path / str(number)).mkdir()
        found[name] = tried(fault, tmp_path / str(number))
    assert {name: counts for name, counts in found.items() if counts != (0, 0)} == {}
