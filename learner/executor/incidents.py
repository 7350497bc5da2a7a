"""Incidents from files: our own JSON, Alertmanager's webhook body and PagerDuty's webhook event."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from learner.errors import LearnerError
from learner.models.incident import Incident
from learner.models.runbook import Parameter

KNOWN_ALERTS: Mapping[str, str] = {
    "NodeFilesystemAlmostOutOfSpace": "disk_full",
    "NodeFilesystemSpaceFillingUp": "disk_full",
    "NodeFilesystemAlmostOutOfFiles": "disk_full",
    "NodeFilesystemFilesFillingUp": "disk_full",
    "HostOutOfDiskSpace": "disk_full",
    "HostOutOfInodes": "disk_full",
    "NodeCPUHighUsage": "high_cpu",
    "HostHighCpuLoad": "high_cpu",
    "NodeMemoryHighUtilization": "memory_leak",
    "HostOutOfMemory": "memory_leak",
    "NodeSystemdServiceFailed": "service_crash",
    "HostSystemdServiceCrashed": "service_crash",
    "NodeClockNotSynchronising": "time_drift",
    "NodeClockSkewDetected": "time_drift",
    "HostClockSkew": "time_drift",
    "BlackboxSslCertificateWillExpireSoon": "cert_expiry",
    "BlackboxSslCertificateExpired": "cert_expiry",
    "BlackboxProbeFailed": "endpoint_down",
    "BlackboxProbeHttpFailure": "endpoint_down",
}
"""Incident types of alerts that node-exporter's mixin and awesome-prometheus-alerts name."""

_SEVERITIES = {"critical": "critical", "page": "high", "high": "high", "error": "high", "warning": "medium", "medium": "medium",
               "info": "low", "low": "low", "none": "low"}  # fmt: skip
_PREFIX = "learner_param_"
_STARTING = ("triggered", "escalated", "reopened", "unacknowledged", "priority_updated", "delegated", "reassigned")


def read(text: str | bytes, client_id: str, name: str = "incident") -> tuple[Incident, ...]:
    """The incidents that `text` tells of; empty when it only says that one is over.

    Raises: `LearnerError` when it is none of the three forms, or an incident of another client.
    """
    try:
        held = json.loads(text)
    except ValueError as e:
        raise LearnerError(f"{name}: no JSON: {e}", "give an incident, see docs/executor.md") from e
    if not isinstance(held, dict):
        raise LearnerError(f"{name}: a JSON object is wanted", "give an incident, see docs/executor.md")
    if isinstance(held.get("alerts"), list):
        found = [_of_alert(alert, client_id) for alert in held["alerts"] if _is_firing(alert)]
    elif isinstance(held.get("event"), dict):
        found = _of_event(held["event"], client_id, name)
    else:
        found = [{"client_id": client_id, **held}]
    return tuple(_incident(one, client_id, name) for one in found)


def _incident(held: Mapping[str, Any], client_id: str, name: str) -> Incident:
    try:
        incident = Incident.model_validate_json(json.dumps(held))
    except ValidationError as e:
        first = e.errors()[0]
        raise LearnerError(
            f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}", "see schemas/incident.schema.json"
        ) from e
    if incident.client_id != client_id:
        raise LearnerError(
            f"{name}: an incident of {incident.client_id}, but this host reports for {client_id}",
            "run it on a host of that client",
        )
    return incident


# ---- Alertmanager


def _is_firing(alert: Any) -> bool:
    return isinstance(alert, dict) and alert.get("status", "firing") == "firing"


def _of_alert(alert: Mapping[str, Any], client_id: str) -> dict[str, Any]:
    """Source: Prometheus docs, Alertmanager, Configuration, webhook_config (version "4")."""
    labels = {str(key): str(value) for key, value in dict(alert.get("labels") or {}).items()}
    notes = {str(key): str(value) for key, value in dict(alert.get("annotations") or {}).items()}
    name = labels.get("alertname", "alert")
    started = _instant(alert.get("startsAt"))
    kind = notes.get("learner_incident_type") or labels.get("incident_type") or KNOWN_ALERTS.get(name) or _snake(name)
    fingerprint = str(alert.get("fingerprint") or _snake(name))
    host = next((labels[key] for key in ("hostname", "host", "nodename", "node", "instance") if labels.get(key)), None)
    explicit = {key[len(_PREFIX) :]: value for key, value in notes.items() if key.startswith(_PREFIX)}
    return {
        "incident_id": f"am-{fingerprint}" + (f"-{started:%Y%m%dT%H%M%SZ}" if started else ""),
        "incident_type": kind,
        "client_id": client_id,
        "started_at": started.isoformat() if started else None,
        "severity": _SEVERITIES.get(labels.get("severity", "").lower()),
        "hostname": re.sub(r":[0-9]+$", "", host) if host else None,
        "labels": labels,
        "parameters": {key: value for key, value in labels.items() if re.fullmatch("[a-z][a-z0-9_]*", key)} | explicit,
        "source": "alertmanager",
    }


# ---- PagerDuty


def _of_event(event: Mapping[str, Any], client_id: str, name: str) -> list[dict[str, Any]]:
    """Source: PagerDuty developer docs, Webhooks, V3 Overview: `event` with `event_type` and `data`."""
    if str(event.get("event_type", "")).removeprefix("incident.") not in _STARTING:
        return []
    data = event.get("data")
    if not isinstance(data, dict) or not data.get("id"):
        raise LearnerError(f"{name}: a PagerDuty event without its data", "send the webhook's whole body")
    details = _mapping(_mapping(data.get("body")).get("details"))
    fields = {str(f.get("name")): f.get("value") for f in data.get("custom_fields") or () if isinstance(f, dict)}
    said = {**details, **{key: value for key, value in fields.items() if value is not None}}
    own_type = str(_mapping(data.get("incident_type")).get("name") or "")
    kind = said.get("incident_type") or (
        own_type if own_type not in ("", "incident_default", "base_incident") else None
    )
    if not kind:
        raise LearnerError(
            f"{name}: the PagerDuty incident {data['id']} does not say its incident_type",
            "give the incident a custom field `incident_type`, or a PagerDuty incident type of that name",
        )
    service = _mapping(data.get("service")).get("summary")
    started = _instant(data.get("created_at") or event.get("occurred_at"))
    priority = str(_mapping(data.get("priority")).get("summary") or "").upper()
    severity = {"P1": "critical", "P2": "high", "P3": "medium", "P4": "low", "P5": "low"}.get(priority)
    return [
        {
            "incident_id": f"pd-{data['id']}",
            "incident_type": str(kind),
            "client_id": client_id,
            "started_at": started.isoformat() if started else None,
            "severity": severity or {"high": "high", "low": "low"}.get(str(data.get("urgency"))),
            "hostname": said.get("hostname") or said.get("host"),
            "labels": {key: str(value) for key, value in said.items() if isinstance(value, str | int | float)}
            | ({"pagerduty_service": str(service)} if service else {}),
            "parameters": {
                key: value
                for key, value in said.items()
                if re.fullmatch("[a-z][a-z0-9_]*", key) and isinstance(value, str | int | float | bool)
            },
            "source": "pagerduty",
        }
    ]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _instant(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", str(value)))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo and found.year > 1 else None


def _snake(name: str) -> str:
    """`InstanceDown` → `instance_down`."""
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_") or "alert"


# ---- parameters


def typed(parameter: Parameter, value: Any) -> Any:
    """`value` as the parameter's type when it is that type's text; else as it is, for the runbook to refuse.

    Alerts and command lines only know text.
    """
    if not isinstance(value, str) or parameter.type == "string":
        return str(value) if parameter.type == "string" and isinstance(value, int | float) else value
    try:
        read_as = json.loads(value)
    except ValueError:
        return value
    if parameter.type == "boolean":
        return read_as if isinstance(read_as, bool) else value
    return read_as if isinstance(read_as, int | float) and not isinstance(read_as, bool) else value
