from __future__ import annotations

import threading
from pathlib import Path
from random import Random

from learner.errors import GitError
from learner.telemetry.inbox import Pushed
from learner.telemetry.spool import Spool
from learner.telemetry.watch import wait_seconds, watch
from tests.telemetry.conftest import numbered


def test_waits_are_spread_and_grow_with_failures() -> None:
    waits = [wait_seconds(300, 0.2, 0, Random(seed)) for seed in range(200)]
    assert 240 <= min(waits) < 250 < 350 < max(waits) <= 360
    assert wait_seconds(300, 0, 2, Random(0)) == 1200
    assert wait_seconds(300, 0, 50, Random(0)) == 3600
    assert wait_seconds(7200, 0, 50, Random(0)) == 7200


def test_a_failing_push_is_told_and_tried_again(tmp_path: Path) -> None:
    stop, told = threading.Event(), []
    spool = Spool(tmp_path)
    spool.add(numbered(1))

    def push(_urgent: bool) -> Pushed:
        if len(told) < 2:
            raise GitError("no network")
        stop.set()
        return Pushed(1, 0, 1)

    pushes = watch(push, spool, interval_seconds=0, jitter=0, chance=Random(0), stop=stop, told=told.append)
    assert pushes == 3
    assert told == [
        "no network (1 in a row; 1 results are kept)",
        "no network (2 in a row; 1 results are kept)",
        "1 sent, 0 acknowledged, 1 in the spool",
    ]


def test_something_urgent_goes_at_once(tmp_path: Path) -> None:
    stop, pushes = threading.Event(), []
    spool = Spool(tmp_path)

    def push(urgent: bool) -> Pushed:
        pushes.append((len(spool.pending()), urgent))
        if len(pushes) == 1:
            spool.add(numbered(1), urgent=True)
        else:
            stop.set()
        return Pushed(0, 0, 0)

    watch(push, spool, interval_seconds=3600, jitter=0, chance=Random(0), stop=stop, told=print, poll_seconds=0.01)
    assert pushes == [(0, False), (1, True)]
