"""Which runbook is for an incident: by incident type, platform and labels, with the reason told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from learner.errors import LearnerError
from learner.models.incident import Incident
from learner.models.runbook import Runbook


@dataclass(frozen=True)
class Chosen:
    """A runbook, and why it and none of the others."""

    runbook: Runbook
    reason: str


def choose(incident: Incident, platform: str, labels: Mapping[str, str], runbooks: Iterable[Runbook]) -> Chosen:
    """The runbook that says the most about this incident: the one with the most labels that all match.

    `labels` are the host's; the incident's come first. Among equals nothing is guessed.

    Raises: `LearnerError` when none fits or several fit equally well; it says which were looked at and why not.
    """
    carried = {**labels, **incident.labels}
    of_type = [runbook for runbook in runbooks if incident.incident_type in runbook.incident_types]
    here = [runbook for runbook in of_type if runbook.platform == platform]
    fitting = [r for r in here if all(carried.get(key) == value for key, value in r.selector.items())]
    if not fitting:
        raise LearnerError(f"no runbook for {incident.incident_type} on {platform}{_why_none(of_type, here, carried)}",
                           "name one: `learner execute RUNBOOK --incident FILE`")  # fmt: skip
    most = max(len(runbook.selector) for runbook in fitting)
    best = sorted((r for r in fitting if len(r.selector) == most), key=lambda r: r.id)
    if len(best) > 1:
        raise LearnerError(
            f"{', '.join(r.ref for r in best)} fit {incident.incident_type} equally well",
            "tell them apart by `selector`, or name one: `learner execute RUNBOOK --incident FILE`",
        )
    one = best[0]
    said = f"for {incident.incident_type} on {platform}"
    if one.selector:
        said += ", labels " + ", ".join(f"{key}={value}" for key, value in sorted(one.selector.items()))
    others = [runbook.ref for runbook in sorted(fitting, key=lambda r: r.id) if runbook is not one]
    if others:
        said += f"; more closely than {', '.join(others)}"
    return Chosen(one, said)


def _why_none(of_type: list[Runbook], here: list[Runbook], carried: Mapping[str, str]) -> str:
    if here:
        first = here[0]
        lacking = ", ".join(
            f"{key}={value}, not {carried.get(key, 'absent')}"
            for key, value in sorted(first.selector.items())
            if carried.get(key) != value
        )
        return f": {first.ref} wants {lacking}"
    if of_type:
        return f": {', '.join(sorted(r.ref for r in of_type))} are for other platforms"
    return ""
