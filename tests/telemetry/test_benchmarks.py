"""The benchmarks run, at a size that takes seconds: what they measure is for `make bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.telemetry import data, idle, reading, writing
from learner.telemetry.parse import place


def test_reading(tmp_path: Path) -> None:
    assert len(list(reading.figures(tmp_path, 60, 120, full=False))) == 8


def test_idle(tmp_path: Path) -> None:
    [figure] = idle.figures(tmp_path, full=False)
    assert "whole learn process" in figure.what


def test_writing(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    figures = list(writing.figures(tmp_path, 60, 120, writers=3, seconds=1.5, full=False))
    lost = next(figure for figure in figures if "lost, doubled" in figure.what)
    assert lost.measured.startswith("0, 0, 0")
    assert lost.met


def test_data_are_the_same_in_every_run() -> None:
    assert data.raw(7) == data.raw(7)
    assert place(data.raw(7)[0])
    assert data.result(7).path == data.raw(7)[0]
    assert 3000 < len(data.raw(7)[1]) < 4500
