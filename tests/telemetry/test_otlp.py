from __future__ import annotations

import json
from pathlib import Path

import pytest

from learner.telemetry import otlp
from tests.samples import result
from tests.telemetry.test_cli import run


def attributes(record: dict[str, object]) -> dict[str, object]:
    return {one["key"]: next(iter(one["value"].values())) for one in record["attributes"]}  # type: ignore[attr-defined]


def test_a_run_is_a_log_record() -> None:
    record = otlp.record(result(completed_at="2026-11-22T05:00:07.000001Z"))
    assert record["timeUnixNano"] == "1795323607000001000"
    assert record["severityText"] == "ERROR"
    assert len(record["traceId"]) == 32
    assert len(record["spanId"]) == 16
    found = attributes(record)
    assert found["learner.runbook_version"] == "1"
    assert found["learner.success"] is False
    assert "learner.verification_passed" not in found, "unknown is left out, it is not false"
    assert str(found["exception.message"]).startswith("web: ERROR")


def test_unknown_is_a_warning_and_verified_is_information() -> None:
    unknown = result(status="success", success=True, error_message=None)
    assert otlp.record(unknown)["severityText"] == "WARN"
    verified = result(status="success", success=True, error_message=None, verification_passed=True)
    assert otlp.record(verified)["severityText"] == "INFO"


def test_hosts_are_resources() -> None:
    many = [result(execution_id=f"exec-20261122-{n:04d}", hostname=f"web-{n // 2}") for n in range(4)]
    [document] = otlp.documents(many)
    hosts = [attributes(one["resource"])["host.name"] for one in document["resourceLogs"]]
    assert hosts == ["web-0", "web-1"]
    assert len(list(otlp.documents(many, at_once=3))) == 2


def test_every_export_can_be_read_back(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(result().model_dump_json())
    [line] = run("export", "--telemetry", tmp_path, "--format", "otlp").stdout.splitlines()
    assert json.loads(line)["resourceLogs"]
    pq = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "out.parquet"
    assert run("export", "--telemetry", tmp_path, "--format", "parquet", "-o", target).exit_code == 0
    assert pq.read_table(target)["execution_id"].to_pylist() == [result().execution_id]
    assert run("export", "--telemetry", tmp_path, "--format", "parquet").exit_code == 2
