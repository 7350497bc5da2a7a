"""avoidance: incidents that would be passed over."""

from __future__ import annotations

from tests.audits.books import START, book, edit, found, step
from tests.samples import result

RULE = "avoidance"
BY = edit({"op": "set_precondition", "expression": "x"})


def verdict(*expressions: str, machine: bool = True, more: bool = True, old: tuple[str, ...] = ()) -> str:
    steps = [step("remove_file", path="/run/x.pid"), START] if more else [START]
    after = book(*steps, version=2, preconditions=[*expressions])
    findings = found(RULE, book(preconditions=list(old)), after, result(), edit=BY if machine else None)
    return findings[0].level.value if findings else "quiet"


def test_skipping_the_very_failure_is_blocked() -> None:
    assert verdict("not state.files['/run/web/web.pid'].exists") == "block"
    assert verdict("state.services.web == 'running'") == "block"
    assert verdict("service != 'web'") == "block"
    assert verdict("state.services.web == 'running'", machine=False) == "block"
    assert verdict("false") == "block"
    assert verdict("state.services[service] == 'running' and true") == "block"


def test_nothing_but_a_precondition_is_blocked() -> None:
    assert verdict("state.disk.usage_percent < 99", more=False) == "block"


def test_a_precondition_beside_a_repair_warns() -> None:
    assert verdict("state.disk.usage_percent < 99") == "warning"
    assert verdict("state.disk.usage_percent < 99", machine=False) == "notice"


def test_one_that_goes() -> None:
    assert verdict(old=("state.disk.usage_percent < 99",)) == "block"
    assert verdict(old=("state.disk.usage_percent < 99",), machine=False) == "warning"


def test_no_new_precondition_passes() -> None:
    assert verdict("state.services.web != 'running'", old=("state.services.web != 'running'",)) == "quiet"
