"""A start that seemed to work, judged by what the run found out later: the service fell over, and its log says why.

Many services report that they were started before they are: systemd's `Type=simple`, a launcher that forks, an
asynchronous `sc start`. The failure is then seen by a later look at the service or its port, and its cause is printed
by a step that only reads a log.
"""

from __future__ import annotations

from dataclasses import replace

from learner.proposals.brief import Failing
from learner.proposals.patterns.situation import LONGEST_TEXT, Situation

_STARTS = ("start_service", "restart_service")
_LOOKS = frozenset({
    "service_running", "process_running", "port_open", "http_ok", "command_succeeds",
    "check_service_status", "wait_for_service", "check_port", "wait_for_port", "check_http", "wait_for_http",
})  # fmt: skip


def fallen_start(situation: Situation) -> Situation | None:
    """The start whose service was down in the end, with what later steps printed as its words.

    None when the failure is not seen by a look at a service, more or fewer than one started service is down, or no
    step after the start printed anything.
    """
    result, place = situation.failing.result, situation.failing
    look = place.step.action if place.step else place.check.check if place.check else ""
    if look not in _LOOKS:
        return None
    down = [
        done
        for done in result.executed_steps
        if done.action in _STARTS
        and done.success
        and not done.skipped
        and result.state_after.services.get(str(done.params.get("name"))) in ("stopped", "failed")
    ]
    if len({str(done.params.get("name")) for done in down}) != 1:
        return None
    start = down[-1]
    step = next((step for step in situation.parent.steps if step.id == start.step_id), None)
    later = result.executed_steps[result.executed_steps.index(start) :]
    printed = [done.output.strip() for done in later if not done.skipped and done is not place.step]
    words = "\n".join([*filter(None, printed), place.text if place.step else ""]).strip()
    if step is None or not any(printed):
        return None
    told = Failing(result, start, None, said=words[-LONGEST_TEXT:])
    return replace(situation, failing=told, step=step, claim=None)
