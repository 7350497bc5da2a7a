"""Results as OpenTelemetry log records, in OTLP/JSON: one run, one record.

Names of attributes are those of the semantic conventions where there are some (`service.name`, `host.name`,
`os.type`, `exception.message`, `exception.stacktrace`, `error.type`); the others begin with `learner.` and carry
the name of the field they come from. docs/telemetry.md lists them.

Source: OpenTelemetry Protocol 1.3, "JSON Protobuf Encoding"; Logs Data Model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from learner.models.execution import ExecutionResult

_INFO, _ERROR, _WARN = (9, "INFO"), (17, "ERROR"), (13, "WARN")


def documents(results: Iterable[ExecutionResult], at_once: int = 500) -> Iterator[dict[str, Any]]:
    """Export requests, as a collector's `/v1/logs` takes them and its file receiver reads them, line by line."""
    remaining = iter(results)
    while batch := list(islice(remaining, at_once)):
        yield {"resourceLogs": [_of_one_host(list(same)) for _, same in groupby(batch, key=_resource_key)]}


def _of_one_host(results: list[ExecutionResult]) -> dict[str, Any]:
    first = results[0]
    resource = {
        "service.name": "learner",
        "host.name": first.hostname,
        "os.type": first.platform,
        "learner.client_id": first.client_id,
        "learner.executor_id": first.executor.id,
    }
    scope = {"name": "learner.telemetry", "version": first.schema_version}
    records = [record(result) for result in results]
    return {"resource": {"attributes": _attributes(resource)}, "scopeLogs": [{"scope": scope, "logRecords": records}]}


def record(result: ExecutionResult) -> dict[str, Any]:
    """The log record of one run."""
    number, text = _INFO if result.verified else _ERROR if result.failed else _WARN
    fields: dict[str, Any] = {
        "learner.execution_id": result.execution_id,
        "learner.runbook_id": result.runbook_id,
        "learner.runbook_version": result.runbook_version,
        "learner.runbook_blob": result.runbook_blob,
        "learner.incident_id": result.incident_id,
        "learner.incident_type": result.incident_type,
        "learner.status": result.status.value,
        "learner.success": result.success,
        "learner.verification_passed": result.verification_passed,
        "learner.confidence": result.confidence,
        "learner.duration_seconds": result.duration_seconds,
        "learner.steps": len(result.executed_steps),
        "learner.error_step": result.error_step,
        "learner.retry_count": result.retry_count,
        "learner.evidence_bundle_id": result.evidence_bundle_id,
        "learner.manual_intervention_needed": result.manual_intervention_needed,
        "error.type": result.failure_type.value if result.failure_type else None,
        "exception.message": result.error_message,
        "exception.stacktrace": result.error_traceback,
    }
    said = f": {result.error_message}" if result.error_message else ""
    return {
        "timeUnixNano": _nanoseconds(result.completed_at),
        "observedTimeUnixNano": _nanoseconds(result.completed_at),
        "severityNumber": number,
        "severityText": text,
        "eventName": "learner.execution",
        "body": {"stringValue": f"{result.runbook_ref} on {result.hostname}: {result.status.value}{said}"},
        "attributes": _attributes(fields),
        # one incident is one trace: its runs stand together in a tracing back end
        "traceId": hashlib.sha256(f"{result.client_id}/{result.incident_id}".encode()).hexdigest()[:32],
        "spanId": hashlib.sha256(result.execution_id.encode()).hexdigest()[:16],
    }


def _attributes(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in fields.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}  # 64 bits travel as text in the JSON encoding
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


def _nanoseconds(when: datetime) -> str:
    # whole numbers all the way: a float of this size is off by hundreds of nanoseconds
    return str((int(when.replace(microsecond=0).timestamp()) * 1_000_000 + when.microsecond) * 1000)


def _resource_key(result: ExecutionResult) -> tuple[str, str, str, str | None]:
    return result.client_id, result.hostname, result.platform, result.executor.id
