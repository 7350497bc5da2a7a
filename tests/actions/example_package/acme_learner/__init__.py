"""A family of actions of another package: what `docs/executor.md` describes, complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from learner.actions.base import LINUX, Action, Capabilities, Check, Outcome, Probe
from learner.actions.host import Deadline, Host
from learner.facts import Facts, Path, get
from learner.strict import Strict, Text


class QueueParams(Strict):
    name: Text


@dataclass(frozen=True)
class QueueProbe(Probe):
    """`commands["queue <name>"]`: how many messages wait."""

    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("commands", f"queue {self.name}"),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        return {self.paths[0]: 0}


class PurgeQueue(Action[QueueParams]):
    """Throw away what waits in a queue."""

    name = "acme_purge_queue"
    Params = QueueParams
    platforms = LINUX

    def capabilities(self, p: QueueParams) -> Capabilities:
        return Capabilities(privileges=frozenset({f"purge queue {p.name}"}))

    def run(self, p: QueueParams, host: Host, deadline: Deadline) -> Outcome:
        return Outcome(True, stdout=f"purged {p.name}", facts=QueueProbe(p.name).read(host, 1.0))


class QueueEmpty(Check[QueueParams]):
    """Nothing waits in the queue."""

    name = "acme_queue_empty"
    Params = QueueParams
    platforms = LINUX

    def probe(self, p: QueueParams) -> Probe:
        return QueueProbe(p.name)

    def holds(self, p: QueueParams, state: Mapping[str, Any]) -> bool | None:
        waiting = get(state, QueueProbe(p.name).paths[0])
        return waiting == 0 if isinstance(waiting, int) else None


ACTIONS = (PurgeQueue(),)
CHECKS = (QueueEmpty(),)
