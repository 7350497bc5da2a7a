"""Flow: waiting, asserting, and calling a person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from learner.actions.base import EVERYWHERE, Action, Outcome
from learner.actions.host import Deadline, Host
from learner.strict import Strict, Text


class WaitParams(Strict):
    seconds: Annotated[float, Field(ge=0, le=3600)]


class AssertParams(Strict):
    that: bool
    message: str | None = None


class EscalateParams(Strict):
    message: Text
    severity: Literal["low", "medium", "high", "critical"] | None = None


class Wait(Action[WaitParams]):
    """Wait a number of seconds."""

    name = "wait"
    Params = WaitParams
    platforms = EVERYWHERE
    tried_on = EVERYWHERE  # they touch no host
    read_only = True

    def run(self, p: WaitParams, host: Host, deadline: Deadline) -> Outcome:
        whole = p.seconds <= deadline.remaining()
        deadline.pause(p.seconds)
        return (
            Outcome(True)
            if whole
            else Outcome.failed(f"{p.seconds:g} s do not fit into the step's timeout", timed_out=True)
        )


class Assert(Action[AssertParams]):
    """Fail unless an expression is true: `that: "{{ state.disk.free_gb > 5 }}"`."""

    name = "assert"
    Params = AssertParams
    platforms = EVERYWHERE
    tried_on = EVERYWHERE  # they touch no host
    read_only = True

    def run(self, p: AssertParams, host: Host, deadline: Deadline) -> Outcome:
        return Outcome(True) if p.that else Outcome.failed(p.message or "the assertion does not hold")


class Escalate(Action[EscalateParams]):
    """Call a person: marks the run as needing one, and goes on."""

    name = "escalate"
    Params = EscalateParams
    platforms = EVERYWHERE
    tried_on = EVERYWHERE  # they touch no host
    read_only = True

    def run(self, p: EscalateParams, host: Host, deadline: Deadline) -> Outcome:
        return Outcome(True, stdout=p.message, manual=True)


ACTIONS: tuple[Action[Any], ...] = (Wait(), Assert(), Escalate())
CHECKS = ()
