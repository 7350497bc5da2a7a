"""The whole model path against endpoints that play a part: what gets through, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.repair.cases import Case
from benchmarks.repair.endpoint import BEHAVIOURS, SLOW_SECONDS, Behaviour, endpoint, well
from benchmarks.repair.measure import Measured, measure
from learner.model_client import ModelClient
from learner.proposals.brief import Proposer
from learner.proposals.openai import ModelProposer
from learner.settings import ModelSettings, RepositorySettings


@dataclass(frozen=True)
class Played:
    """One behaviour over all cases of a run."""

    name: str
    measured: Measured
    calls: int
    """That reached the endpoint."""
    waited_seconds: float
    """That the client would have slept between tries; the bench does not sleep."""
    seconds: float

    @property
    def by_model(self) -> int:
        return sum(one.by_model for one in self.measured.scored)

    @property
    def by_patterns(self) -> int:
        return len(self.measured.proposed) - self.by_model

    @property
    def bad(self) -> int:
        """Proposals that should not be: for what no runbook repairs, or by the model without the signs of a good edit."""
        return sum(one.false or (one.by_model and bool(one.fault)) for one in self.measured.scored)


def play(
    name: str, behaviour: Behaviour, cases: Sequence[Case], patterns: Sequence[Proposer], *, seconds: float = 0.3
) -> Played:
    """What becomes of `cases` with an endpoint of this behaviour. `seconds` is how long the client waits for a reply."""
    waits: list[float] = []
    with endpoint(behaviour) as server:
        model = ModelSettings(
            base_url=server.base_url, timeout_seconds=seconds, max_calls=5_000, max_tokens=10**9, max_cost_usd=10**6
        )
        settings = RepositorySettings(model=model)
        client = ModelClient(model, None, sleep=waits.append)
        started = time.perf_counter()
        found = measure(cases, (ModelProposer(client), *patterns), client, settings, server.decides)
        return Played(name, found, server.calls, sum(waits), time.perf_counter() - started)


def plays(cases: Sequence[Case], patterns: Sequence[Proposer], names: Sequence[str] | None = None) -> list[Played]:
    """The endpoint that answers well, then every other one (or those of `names`)."""
    found = [play("answers well", well, cases, patterns, seconds=30.0)]
    for name, behaviour in BEHAVIOURS.items():
        if names is None or name in names:
            slow = name in ("silent", "drips")
            found.append(play(name, behaviour, cases, patterns, seconds=0.3 * SLOW_SECONDS if slow else 10.0))
    return found
