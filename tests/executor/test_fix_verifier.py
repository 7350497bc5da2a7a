"""Verdicts from states: what passes, what fails, and what nobody can tell."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from learner import FixVerifier, StateCapture
from learner.executor.fix_verifier import RULES

TYPES = ("service_crash", "disk_full", "high_cpu", "memory_leak", "cert_expiry", "port_unreachable", "endpoint_down", "process_hung",
         "dns_failure", "time_drift", "config_drift", "backup_failure")  # fmt: skip

GOOD: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "service_crash": ({"services": {"web": "failed"}}, {"services": {"web": "running"}}, ("web",)),
    "disk_full": ({"disk": {"mounts": {"/var": {"usage_percent": 98}}}}, {"disk": {"mounts": {"/var": {"usage_percent": 60}}}}, ()),
    "high_cpu": ({"cpu": {"usage_percent": 99.0}}, {"cpu": {"usage_percent": 20.0}}, ()),
    "memory_leak": ({"memory": {"usage_percent": 96.0}}, {"memory": {"usage_percent": 40.0}}, ()),
    "cert_expiry": ({"certificates": {"/c.pem": {"days_left": -2}}}, {"certificates": {"/c.pem": {"days_left": 89}}}, ()),
    "port_unreachable": ({"ports": {"80": "closed"}}, {"ports": {"80": "listening"}}, ()),
    "endpoint_down": ({"endpoints": {"http://x/": 502}}, {"endpoints": {"http://x/": 200}}, ()),
    "process_hung": ({"endpoints": {"http://x/": "timed out"}, "processes": {"w": 1}}, {"endpoints": {"http://x/": 200}, "processes": {"w": 1}}, ()),
    "dns_failure": ({"dns": {"db": False}}, {"dns": {"db": True}}, ()),
    "time_drift": ({"time": {"offset_seconds": -90.0}}, {"time": {"offset_seconds": 0.01}}, ()),
    "config_drift": ({"files": {"/etc/x": {"exists": False}}}, {"files": {"/etc/x": {"exists": True}}}, ()),
    "backup_failure": ({"files": {"/b": {"exists": True, "modified_at": 10, "size_bytes": 5}}}, {"files": {"/b": {"exists": True, "modified_at": 20, "size_bytes": 5}}}, ("/b",)),
}  # fmt: skip


def verify(kind: str, before: dict[str, Any], after: dict[str, Any], *named: str) -> bool | None:
    return FixVerifier().verify(kind, before, after, named=named).passed


def test_the_twelve_types_have_rules() -> None:
    assert tuple(RULES) == TYPES
    assert set(GOOD) == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_what_was_bad_and_is_good_passes_and_what_is_still_bad_fails(kind: str) -> None:
    before, after, named = GOOD[kind]
    passed, method, confidence = FixVerifier().verify(kind, before, after, named=named)
    assert passed is True
    assert method
    assert 0.5 < confidence < 1
    assert verify(kind, before, before, *named) is False


@pytest.mark.parametrize("kind", TYPES)
def test_nothing_to_judge_by_is_never_a_pass(kind: str) -> None:
    before, after, named = GOOD[kind]
    for one, other in itertools.product(({}, before), ({}, after)):
        if (one, other) != (before, after):
            assert verify(kind, one, other, *named) is not True, (one, other)
    assert FixVerifier().verify(kind, {}, {}) == (None, "nothing to judge by", 0.0)
    assert FixVerifier().verify(kind, StateCapture(), StateCapture()).passed is None


@pytest.mark.parametrize("kind", TYPES)
def test_what_was_good_all_along_proves_nothing(kind: str) -> None:
    _, after, named = GOOD[kind]
    if kind != "backup_failure":
        assert verify(kind, after, after, *named) is None


@pytest.mark.parametrize("kind", [*TYPES, "no_such_type"])
@pytest.mark.parametrize("junk", ["unknown", None, True, [], {}, "", float("nan")])
def test_junk_is_survived_and_never_passes(kind: str, junk: Any) -> None:
    families = (
        "services",
        "disk",
        "cpu",
        "memory",
        "processes",
        "ports",
        "files",
        "endpoints",
        "certificates",
        "dns",
        "time",
    )
    for state in (
        dict.fromkeys(families, junk),
        {f: {"x": junk} for f in families},
        {f: {"usage_percent": junk, "mounts": {"/": junk}} for f in families},
    ):
        if kind == "dns_failure" and junk is True:
            continue
        assert verify(kind, state, state) is not True


def test_every_named_service_that_was_down_must_run() -> None:
    before = {"services": {"web": "failed", "db": "stopped", "other": "failed"}}
    assert (
        verify(
            "service_crash", before, {"services": {"web": "running", "db": "stopped", "other": "failed"}}, "web", "db"
        )
        is False
    )
    assert (
        verify(
            "service_crash", before, {"services": {"web": "running", "db": "running", "other": "failed"}}, "web", "db"
        )
        is True
    )
    assert verify("service_crash", before, {"services": {"web": "running", "db": "unknown"}}, "web", "db") is None
    assert (
        verify("service_crash", before, {"services": {"web": "running", "db": "running", "other": "failed"}}) is False
    )
    assert (
        verify("service_crash", before, {"services": {"web": "running", "db": "running", "other": "running"}}, "api")
        is None
    )


def test_a_service_that_runs_but_does_not_answer_is_no_pass() -> None:
    before = {"services": {"web": "failed"}, "endpoints": {"http://x/": "connection refused"}}
    after = {"services": {"web": "running"}, "endpoints": {"http://x/": "connection refused"}}
    passed, method, confidence = FixVerifier().verify("service_crash", before, after)
    assert (passed, confidence) == (None, 0.0)
    assert "but endpoints: http://x/ still connection refused" in method


def test_a_cure_that_stops_another_service_is_no_pass() -> None:
    before = {"services": {"web": "failed", "db": "running"}}
    assert verify("service_crash", before, {"services": {"web": "running", "db": "stopped"}}, "web") is None


def test_more_signals_make_more_sure() -> None:
    before: dict[str, Any] = {"services": {"web": "failed"}}
    after: dict[str, Any] = {"services": {"web": "running"}}
    alone = FixVerifier().verify("service_crash", before, after)
    both = FixVerifier().verify(
        "service_crash", {**before, "ports": {"80": "closed"}}, {**after, "ports": {"80": "listening"}}
    )
    assert alone.confidence < both.confidence


def test_inodes_count_as_a_full_disk() -> None:
    before = {"disk": {"mounts": {"/v": {"usage_percent": 40, "inodes_percent": 100}}}}
    assert (
        verify("disk_full", before, {"disk": {"mounts": {"/v": {"usage_percent": 10, "inodes_percent": 100}}}}) is False
    )
    assert (
        verify("disk_full", before, {"disk": {"mounts": {"/v": {"usage_percent": 40, "inodes_percent": 12}}}}) is True
    )


def test_a_process_that_is_there_is_not_one_that_works() -> None:
    assert (
        verify(
            "process_hung",
            {"processes": {"w": 1}, "services": {"w": "running"}},
            {"processes": {"w": 1}, "services": {"w": "running"}},
        )
        is None
    )


@pytest.mark.parametrize(
    ("after", "passed"),
    [
        ({"exists": True, "modified_at": 20, "size_bytes": 0}, False),
        ({"exists": False}, False),
        ({"exists": True, "modified_at": 10, "size_bytes": 5}, False),
        ({"exists": True, "modified_at": 20}, None),
        ({"exists": "unknown"}, None),
    ],
)
def test_a_backup_must_be_new_and_hold_something(after: dict[str, Any], passed: bool | None) -> None:
    before = {"files": {"/b": {"exists": True, "modified_at": 10, "size_bytes": 5}}}
    assert verify("backup_failure", before, {"files": {"/b": after}}, "/b") is passed
