"""An incident: what happened where, as whoever noticed it says."""

from __future__ import annotations

from typing import Annotated

from learner.models.runbook import Severity
from learner.strict import Json, Lenient, Matching, Text, UtcInstant

Slug = Annotated[str, Matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "Letters, digits, dot, dash, underscore")]


class Incident(Lenient):
    """One incident at one client."""

    incident_id: Text
    incident_type: Text
    client_id: Slug
    started_at: UtcInstant | None = None
    severity: Severity | None = None
    hostname: str | None = None
    labels: dict[str, str] = {}
    parameters: dict[str, Json] = {}
    source: str | None = None
