"""A certificate that was renewed on disk and is served in its old form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, rule, said

_EXPIRED = said(
    r"certificate (?:has |is )?expired",
    r"certificate .{0,40}expire",
    r"days?[_ ]left",
    r"notAfter",
    r"CERT_HAS_EXPIRED",
    r"valid (?:for|until)",
)
_RENEWS = ("renew_certificate",)


def _days(state: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in state.get("certificates", {}).items():
        days = value.get("days_left") if isinstance(value, Mapping) else value
        if isinstance(days, int | float) and not isinstance(days, bool):
            found[str(name)] = float(days)
    return found


def _renewed(seen: Seen) -> bool:
    if seen.did(*_RENEWS):
        return True
    return any(
        "certbot" in str(step.params) or "acme" in str(step.params) or "lego" in str(step.params)
        for step in seen.did("run_command", "run_script")
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def renewed_but_not_reloaded(seen: Seen, case: Case) -> Sign | None:
    """The new certificate lies on disk; what is served is still the old one."""
    if (
        not seen.check
        or seen.check.check not in ("certificate_valid", "http_ok", "command_succeeds")
        or not _renewed(seen)
    ):
        return None
    days = _days(seen.after)
    files = [left for name, left in days.items() if name.startswith("/") or "\\" in name]
    served = [left for name, left in days.items() if not (name.startswith("/") or "\\" in name)]
    if files and served and max(files) - min(served) >= 7:
        return Sign(
            0.96,
            f"the file is good for {max(files):g} days, what is served for {min(served):g}: nothing read it again",
            seen.cite,
        )
    reloaded = seen.did("reload_service", "restart_service")
    remote = "host" in seen.check.params or seen.check.check == "http_ok"
    if not reloaded and remote and (_EXPIRED.search(seen.text) or seen.check.check == "certificate_valid"):
        return Sign(
            0.86, "the certificate was renewed, no step reloads the service, and the old one is still served", seen.cite
        )
    return None
