"""Incidents of other systems, and which runbook is for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from learner.errors import LearnerError
from learner.executor.choose import choose
from learner.executor.incidents import KNOWN_ALERTS, read, typed
from learner.models.incident import Incident
from learner.models.runbook import Parameter, Runbook
from learner.runbook_file import parse
from tests.executor.conftest import runbook

ALERT = {
    "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "learner", "groupLabels": {}, "commonLabels": {},
    "alerts": [
        {"status": "firing", "labels": {"alertname": "NodeFilesystemAlmostOutOfSpace", "instance": "web-1.acme.example:9100", "severity": "critical",
                                        "mountpoint": "/var", "tier": "web"},
         "annotations": {"summary": "x", "learner_param_keep": "3"}, "startsAt": "2026-11-22T05:00:00.123456789Z",
         "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p", "fingerprint": "a1b2c3"},
        {"status": "resolved", "labels": {"alertname": "Other"}, "annotations": {}, "startsAt": "2026-11-22T05:00:00Z", "fingerprint": "d4"},
    ],
}  # fmt: skip
PAGE = {
    "event": {
        "id": "01ABC", "event_type": "incident.triggered", "resource_type": "incident", "occurred_at": "2026-11-22T05:00:01Z",
        "data": {"id": "PGR0VU2", "type": "incident", "number": 2, "status": "triggered", "title": "web is down", "created_at": "2026-11-22T05:00:00Z",
                 "service": {"id": "P1", "summary": "Web shop"}, "urgency": "high", "priority": {"summary": "P2"},
                 "custom_fields": [{"name": "incident_type", "value": "endpoint_down"}, {"name": "host", "value": "web-1"}, {"name": "service", "value": "nginx"}]},
    }
}  # fmt: skip


def one(held: Any) -> Incident:
    (incident,) = read(json.dumps(held), "acme")
    return incident


def test_our_own_json() -> None:
    incident = one({"incident_id": "INC-1", "incident_type": "service_crash", "parameters": {"port": 80}, "surplus": 1})
    assert (incident.client_id, incident.parameters) == ("acme", {"port": 80})


def test_an_alertmanager_webhook() -> None:
    incident = one(ALERT)
    assert incident.incident_id == "am-a1b2c3-20261122T050000Z"
    assert (incident.incident_type, incident.severity, incident.hostname, incident.source) == (
        "disk_full",
        "critical",
        "web-1.acme.example",
        "alertmanager",
    )
    assert incident.labels["tier"] == "web"
    assert (incident.parameters["mountpoint"], incident.parameters["keep"]) == ("/var", "3")


@pytest.mark.parametrize(
    ("labels", "notes", "kind"),
    [
        ({"alertname": "InstanceDown"}, {}, "instance_down"),
        ({"alertname": "HTTPErrors5xx"}, {}, "http_errors5xx"),
        ({"alertname": "X", "incident_type": "disk_full"}, {}, "disk_full"),
        ({"alertname": "X", "incident_type": "disk_full"}, {"learner_incident_type": "high_cpu"}, "high_cpu"),
        *(({"alertname": name}, {}, kind) for name, kind in KNOWN_ALERTS.items()),
        ({}, {}, "alert"),
    ],
)
def test_an_alert_says_its_type_or_has_it_from_its_name(
    labels: dict[str, str], notes: dict[str, str], kind: str
) -> None:
    assert one({"version": "4", "alerts": [{"labels": labels, "annotations": notes}]}).incident_type == kind


def test_what_is_over_is_nothing_to_do() -> None:
    assert read(json.dumps({**ALERT, "alerts": [ALERT["alerts"][1]]}), "acme") == ()
    assert read(json.dumps({"event": {**PAGE["event"], "event_type": "incident.resolved"}}), "acme") == ()


def test_a_pagerduty_event() -> None:
    incident = one(PAGE)
    assert (incident.incident_id, incident.incident_type, incident.severity, incident.hostname) == (
        "pd-PGR0VU2",
        "endpoint_down",
        "high",
        "web-1",
    )
    assert incident.parameters == {"incident_type": "endpoint_down", "host": "web-1", "service": "nginx"}
    assert incident.labels["pagerduty_service"] == "Web shop"


def test_a_pagerduty_event_without_a_type_says_how_to_give_one() -> None:
    data = {**PAGE["event"]["data"], "custom_fields": []}  # type: ignore[dict-item]
    with pytest.raises(LearnerError, match="does not say its incident_type") as e:
        one({"event": {**PAGE["event"], "data": data}})
    assert "custom field" in (e.value.hint or "")
    assert (
        one({"event": {**PAGE["event"], "data": {**data, "incident_type": {"name": "disk_full"}}}}).incident_type
        == "disk_full"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "no JSON"),
        ("[]", "a JSON object"),
        ("{}", "incident_id"),
        ('{"incident_id": "x", "incident_type": "y", "client_id": "other"}', "an incident of other"),
        ('{"event": {"event_type": "incident.triggered"}}', "without its data"),
    ],
)
def test_what_is_no_incident_is_told(text: str, said: str) -> None:
    with pytest.raises(LearnerError, match=said):
        read(text, "acme")


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("integer", "80", 80),
        ("integer", "many", "many"),
        ("integer", "true", "true"),
        ("number", "2.5", 2.5),
        ("boolean", "true", True),
        ("boolean", "1", "1"),
        ("string", "80", "80"),
        ("string", 80, "80"),
        ("integer", 80, 80),
    ],
)
def test_text_becomes_what_the_parameter_is(kind: Any, value: Any, wanted: Any) -> None:
    got = typed(Parameter(type=kind), value)
    assert (got, type(got)) == (wanted, type(wanted))


def book(name: str, more: str = "", kind: str = "disk_full") -> Runbook:
    return parse(
        runbook("- {id: a, action: wait, params: {seconds: 0}}", id=name, incident_type=kind, more=more).encode()
    ).runbook


PLAIN = book("RB-LIN-DISK-001")
WEB = book("RB-LIN-DISK-002", "selector: {tier: web}\n")
BIG = book("RB-LIN-DISK-003", "selector: {tier: web, size: big}\n")
OTHER = book("RB-LIN-CPU-001", kind="high_cpu")
ALL = [BIG, OTHER, PLAIN, WEB]


def incident(**labels: str) -> Incident:
    return Incident(incident_id="x", incident_type="disk_full", client_id="acme", labels=labels)


def test_the_one_that_says_the_most_about_the_incident() -> None:
    assert choose(incident(), "linux", {}, ALL).runbook is PLAIN
    chosen = choose(incident(tier="web"), "linux", {}, ALL)
    assert chosen.runbook is WEB
    assert chosen.reason == "for disk_full on linux, labels tier=web; more closely than RB-LIN-DISK-001-v1"
    assert choose(incident(tier="web"), "linux", {"size": "big"}, ALL).runbook is BIG
    assert choose(incident(tier="db"), "linux", {"tier": "web"}, ALL).runbook is PLAIN


def test_nothing_is_guessed() -> None:
    with pytest.raises(LearnerError, match=r"RB-LIN-DISK-001-v1, RB-LIN-DISK-009-v1 fit disk_full equally well"):
        choose(incident(), "linux", {}, [*ALL, book("RB-LIN-DISK-009")])
    with pytest.raises(
        LearnerError, match=r"no runbook for disk_full on windows: RB-LIN-DISK-001-v1.* are for other platforms"
    ):
        choose(incident(), "windows", {}, ALL)
    with pytest.raises(LearnerError, match="RB-LIN-DISK-002-v1 wants tier=web, not absent"):
        choose(incident(), "linux", {}, [WEB])
    with pytest.raises(LearnerError, match="no runbook for disk_full on linux"):
        choose(incident(), "linux", {}, [OTHER])
