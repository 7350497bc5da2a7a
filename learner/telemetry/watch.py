"""Pushing on a schedule: every so often, spread out by chance, and at once when something urgent was recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random

from learner.errors import LearnerError
from learner.telemetry.inbox import Pushed
from learner.telemetry.spool import Spool

_LONGEST_SECONDS = 3600.0


def watch(
    push: Callable[[bool], Pushed],
    spool: Spool,
    *,
    interval_seconds: float,
    jitter: float,
    chance: Random,
    stop: threading.Event,
    told: Callable[[str], None],
    poll_seconds: float = 1.0,
) -> int:
    """How many pushes there were when `stop` was set. `push` is told whether something urgent is among what waits.

    A push that fails is told and tried again, each time after twice as long, up to an hour; what is recorded
    meanwhile is kept. Hosts that were started together do not push together: each wait is longer or shorter by up
    to `jitter` of itself. Hosted forges ask for few pushes a minute, over all hosts.

    Source: GitHub Docs, "Repository limits": no more than 6 pushes a minute to one repository.
    """
    pushes = failures = 0
    urgent = False
    while not stop.is_set():
        try:
            urgent = spool.take_urgent() or urgent
            pushed = push(urgent)
            failures, urgent = 0, False
            if pushed.sent or pushed.acknowledged:
                told(f"{pushed.sent} sent, {pushed.acknowledged} acknowledged, {pushed.remaining} in the spool")
        except LearnerError as e:
            failures += 1
            told(f"{e} ({failures} in a row; {len(spool.pending())} results are kept)")
        pushes += 1
        pause = wait_seconds(interval_seconds, jitter, failures, chance)
        while pause > 0 and not stop.is_set():
            urgent = spool.take_urgent() or urgent
            if urgent and not failures:
                break
            stop.wait(min(poll_seconds, pause))
            pause -= poll_seconds
    return pushes


def wait_seconds(interval_seconds: float, jitter: float, failures: int, chance: Random) -> float:
    """Seconds until the next push, after so many failures in a row."""
    base = min(interval_seconds * 2.0 ** min(failures, 10), max(_LONGEST_SECONDS, interval_seconds))
    return base * (1 + jitter * chance.uniform(-1, 1))
