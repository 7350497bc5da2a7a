"""The runbook does what is needed, and does it too late."""

from __future__ import annotations

import re

from learner.mentions import paths_in
from learner.models.execution import FailureType
from learner.models.runbook import Step
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_NOT_THERE = said(
    r"no such file or directory", r"cannot find the (?:file|path)", r"does not exist", r"not found", r"cannot find path"
)
_NO_KEY = said(r"0x80070520", r"a specified logon session does not exist", r"SSL Certificate add failed, Error: 1312")
_IMPORTS = re.compile(r"Import-PfxCertificate|importpfx|Import-Certificate|-addstore", re.IGNORECASE)
_MAKES = ("write_file", "copy_file", "create_directory", "restore_file", "ensure_line")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def made_too_late(seen: Seen, case: Case) -> Sign | None:
    """What a step lacks is made by a later step of the same runbook: a file that it copies, a certificate that it imports.

    Source: Microsoft, "System Error Codes", 1312: HTTP.SYS says so of a certificate that is not in the machine's store.
    """
    match = _NOT_THERE.search(seen.error)
    if match:
        for path in paths_in(seen.error):
            maker = next((step for step in _later(seen) if _makes(step, path)), None)
            if maker:
                return Sign(
                    0.94, f"{path} is made by the later step {maker.id}: “{first_line(seen.error, match)}”", seen.cite
                )
    no_key = _NO_KEY.search(seen.error)
    importer = next((step for step in _later(seen) if no_key and _IMPORTS.search(str(step.params))), None)
    if no_key and importer:
        return Sign(
            0.92,
            f"the certificate is imported by the later step {importer.id}: “{first_line(seen.error, no_key)}”",
            seen.cite,
        )
    return None


def _later(seen: Seen) -> list[Step]:
    """The runbook's steps behind the one that failed; none when the runbook is not known."""
    steps = list(seen.runbook.steps) if seen.runbook and seen.step else []
    at = next((i for i, step in enumerate(steps) if seen.step and step.id == seen.step.step_id), len(steps))
    return steps[at + 1 :]


def _makes(step: Step, path: str) -> bool:
    params = step.params if isinstance(step.params, dict) else dict(step.params)
    return step.action in _MAKES and path in (params.get("path"), params.get("destination"))
