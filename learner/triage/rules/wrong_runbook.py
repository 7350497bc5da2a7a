"""The runbook is not the one for this incident."""

from __future__ import annotations

from learner.mentions import address_of
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, rule
from learner.triage.claims import MEASURED, borne_out, exhausted
from learner.triage.families import family_of, family_of_port

_ABOUT_REACHING = ("endpoint_down", "port_unreachable", "endpoint_slow", "latency")


@rule(FailureType.WRONG_RUNBOOK, overrules=True)
def type_not_served(seen: Seen, case: Case) -> Sign | None:
    """The runbook does not say that it serves this type of incident."""
    if case.runbook is None or seen.result.was_correct_runbook is True:
        return None
    served = {kind.strip().lower().replace("-", "_") for kind in case.runbook.incident_types}
    if seen.incident_type in served or seen.result.incident_type in case.runbook.incident_types:
        return None
    return Sign(
        0.95,
        f"the incident is a {seen.result.incident_type}; {case.runbook.ref} serves {', '.join(case.runbook.incident_types)}",
        seen.result.execution_id,
    )


@rule(FailureType.WRONG_RUNBOOK)
def healthy_all_along(seen: Seen, case: Case) -> Sign | None:
    """What the incident calls broken was in order before the run, and nothing else is visibly wrong."""
    if borne_out(seen) is not False or exhausted(seen.before) or seen.down() or seen.incident_type in MEASURED:
        return None
    if seen.result.was_correct_diagnosis is False and seen.result.was_correct_runbook is not False:
        return None  # then it is the incident that was wrong, as whoever ran it says
    what = ", ".join(sorted(seen.own_services)) or "what the incident names"
    return Sign(
        0.8 if seen.check else 0.65,  # a step that failed has a cause of its own
        f"{what} was in order before the run: the trouble behind this {seen.result.incident_type} lies elsewhere, and this "
        "runbook does not look there",
        seen.result.execution_id,
    )


@rule(FailureType.WRONG_RUNBOOK)
def restarts_what_runs(seen: Seen, case: Case) -> Sign | None:
    """It restarted services that ran before and after and whose own port answers; what the incident is about is
    another address on this host, and stayed as it was."""
    if seen.incident_type not in _ABOUT_REACHING or not seen.check or seen.down():
        return None
    restarted = [
        str(step.params.get("name", "")) for step in seen.did("restart_service", "start_service", "reload_service")
    ]
    if not restarted or any(not step.success for step in seen.result.executed_steps):
        return None
    if not all(seen.service(name) == "running" == seen.service(name, after=True) for name in restarted):
        return None
    asked = {port for _, port in seen.addresses}
    healthy = _healthy(seen, asked, frozenset(map(family_of, restarted)) - {""})
    if not asked or not healthy:
        return None  # a service may run and be what is broken: the same failure before and after does not tell
    return Sign(
        0.65,
        f"{', '.join(restarted)} ran before and after and {healthy}; {seen.check.id} failed all the same: restarting is not "
        "the answer",
        seen.cite,
    )


def _healthy(seen: Seen, asked: set[int], families: frozenset[str]) -> str:
    """What shows that the services which were restarted are in order: a claim about another port that held, or their
    family's own port open while another one is asked for. Empty when nothing does."""
    for check in seen.result.checks:
        address = address_of(str(check.params.get("url", "")))
        port = address[1] if address else check.params.get("port")
        if check.passed and isinstance(port, int) and port not in asked:
            return f"{check.id} held"
    for port, status in sorted(seen.after.get("ports", {}).items()):
        if (
            status == "listening"
            and port.isdigit()
            and int(port) not in asked
            and family_of_port(int(port)) in families
        ):
            return f"port {port} is open"
    return ""


@rule(FailureType.WRONG_RUNBOOK)
def executor_says_wrong_runbook(seen: Seen, case: Case) -> Sign | None:
    """Whoever ran it says that it was the wrong runbook. A hint: surer rules win."""
    if seen.result.was_correct_runbook is not False or (seen.result.human_feedback or "").strip():
        return None
    return Sign(0.7, "whoever ran it says that this was not the right runbook", seen.result.execution_id)


@rule(FailureType.WRONG_RUNBOOK, overrules=True)
def person_says_wrong_runbook(seen: Seen, case: Case) -> Sign | None:
    """A person who looked says that it was the wrong runbook, and why: that stands before what texts say."""
    if seen.result.was_correct_runbook is not False or not (seen.result.human_feedback or "").strip():
        return None
    return Sign(0.95, "a person who looked says that this was not the right runbook", seen.result.execution_id)
