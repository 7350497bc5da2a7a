"""What a runbook may say of values that single runs show; and what a pattern may take out of an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.errors import LearnerError
from learner.models import ExecutionResult
from learner.proposals.brief import Draft, NoProposal
from learner.proposals.patterns import PatternProposer, builtin, load
from learner.proposals.patterns.general import Unfit, Value, generalised
from learner.proposals.patterns.kinds import KINDS, accepted, compiled
from learner.runbook_file import parse
from tests.proposals.examples import brief_of
from tests.samples import result

RUNBOOK = parse(b"""\
id: RB-LIN-SERVICE-001
version: 1
name: n
description: d
platform: linux
incident_types: [x]
parameters:
  service: {type: string}
  port: {type: integer, default: 8080}
  run_dir: {type: string, default: /run}
  data_dir: {type: string, default: /srv/data}
  token: {type: string, secret: true, default: hunter22}
steps:
  - {id: start, action: start_service, params: {name: "{{ service }}"}}
  - {id: look, action: check_http, params: {url: "http://127.0.0.1:{{ port }}/{{ service }}"}}
verification: [{id: v, check: port_open, params: {port: "{{ port }}"}}]
""")


def run(number: int = 1, host: str = "", **parameters: Any) -> ExecutionResult:
    return result(
        execution_id=f"exec-20261122-01JD{number:04d}", hostname=host or f"host-{number}", parameters=parameters
    )


@pytest.mark.parametrize(
    ("seen", "runs", "written"),
    [
        (["web"], [run(service="web")], "{{ service }}"),
        ([8080], [run(service="web")], "{{ port }}"),
        ([8081], [run(service="web")], 8081),
        ([8081], [run(service="web", port=8081)], "{{ port }}"),
        (["/run/web/web.pid"], [run(service="web")], "/run/web/web.pid"),
        (["/run/web.pid", "/run/web.pid"], [run(1, service="web"), run(2, service="web")], "/run/web.pid"),
        (
            ["/run/web/web.pid", "/run/api/api.pid"],
            [run(1, service="web"), run(2, service="api")],
            "/run/{{ service }}/{{ service }}.pid",
        ),
        (["/srv/data/x/y.lock"], [run(service="web")], "{{ data_dir }}/x/y.lock"),
        (["/opt/x", "/opt/x"], [run(1, service="opt"), run(2, service="x")], "/opt/x"),
        (["http://127.0.0.1:8080/web"], [run(service="web")], "http://127.0.0.1:{{ port }}/{{ service }}"),
        (["hunter22"], [run(service="web")], "hunter22"),
    ],
)
def test_values_become_parameters_only_where_runs_show_it(seen: list[Any], runs: list[Any], written: Any) -> None:
    # the single-component default of run_dir would hold every pid file, so it is no evidence here
    runbook = RUNBOOK.runbook.model_copy(
        update={"parameters": {k: v for k, v in RUNBOOK.runbook.parameters.items() if k != "run_dir"}}
    )
    assert generalised(seen, runs, runbook).whole() == written


@pytest.mark.parametrize(
    ("seen", "runs"),
    [
        (["/run/a.pid", "/run/b.pid"], [run(1, service="web"), run(2, service="web")]),
        (["/run/web.pid", "/run/api.pid"], [run(1, "one", service="web"), run(2, "one", service="api")]),
        ([80, 81], [run(1, service="web"), run(2, service="web")]),
    ],
)
def test_values_that_differ_for_no_known_reason_are_nothing_to_write_down(seen: list[Any], runs: list[Any]) -> None:
    with pytest.raises(Unfit, match="different values"):
        generalised(seen, runs, RUNBOOK.runbook)


def test_a_value_in_an_expression() -> None:
    assert Value("db").expression() == "'db'"
    assert Value(80).expression() == "80"
    assert Value("db", "{{ backend }}").expression() == "backend"
    assert Value("db", "{{ a or b }}").expression() == "(a or b)"
    with pytest.raises(Unfit):
        Value("/run/db", "/run/{{ backend }}").expression()


def test_two_hosts_with_two_services_give_one_step_for_all() -> None:
    failures = []
    for number, name in enumerate(("web", "api"), 1):
        error = f"{name}: pidfile /run/{name}/{name}.pid exists (pid 4242); is another instance running?"
        step = {"step_number": 1, "step_id": "start", "action": "start_service", "params": {"name": name}, "success": False, "error": error}  # fmt: skip
        failures.append(
            result(
                execution_id=f"exec-20261122-01JD000{number}", hostname=f"host-{number}", parameters={"service": name},
                executed_steps=[step], error_message=error, state_before={"services": {name: "failed"}},
            )
        )  # fmt: skip
    draft = PatternProposer(builtin()).propose(brief_of(RUNBOOK, *failures))
    assert isinstance(draft, Draft)
    operation = draft.edit.operations[0]
    assert operation.op == "insert_step"
    assert operation.step["params"]["path"] == "/run/{{ service }}/{{ service }}.pid"
    assert operation.because == ("exec-20261122-01JD0001#1", "exec-20261122-01JD0002#1")
    assert "is written as it was seen" not in draft.edit.risk


def test_a_pattern_that_explains_less_than_half_of_the_failures_is_no_answer() -> None:
    good = result()
    other = [
        result(
            execution_id=f"exec-20261122-01JD000{n}",
            error_message="segfault",
            executed_steps=[{"step_number": 1, "step_id": "start", "action": "start_service", "success": False, "error": "segfault"}],
        )
        for n in (1, 2)
    ]  # fmt: skip
    assert isinstance(PatternProposer(builtin()).propose(brief_of(RUNBOOK, good, *other)), NoProposal)
    assert isinstance(PatternProposer(builtin()).propose(brief_of(RUNBOOK, good, other[0])), Draft)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("path", "/"),
        ("path", "/etc"),
        ("path", "/run/../etc/shadow"),
        ("path", "/run//x"),
        ("path", "/run/{{ x }}"),
        ("path", "/run/$(reboot)"),
        ("path", "relative/x"),
        ("path", "/" + "a/" * 200 + "b"),
        ("service", "web;reboot"),
        ("service", "-web"),
        ("port", "0"),
        ("port", "70000"),
        ("process", "x y"),
        ("number", "1234567890123"),
        ("host", "a b"),
        ("option", "-t;x"),
    ],
)
def test_what_is_not_sane_is_not_taken(kind: str, text: str) -> None:
    assert accepted(kind, text) is None


@given(st.sampled_from(sorted(KINDS)), st.text())
def test_nothing_that_is_taken_can_be_more_than_a_value(kind: str, text: str) -> None:
    value = accepted(kind, text)
    if value is not None:
        assert not set(str(value)) & set("{}$`;|&<>()\n\"' \\*?")


def test_macros() -> None:
    pattern, kinds = compiled("pidfile %{path:pidfile} of %{service:unit}")
    match = pattern.search("PIDFILE /run/web.pid. of web.service, x")
    assert match is None
    match = pattern.search("pidfile /run/web.pid of web.service.")
    assert match is not None
    assert match["pidfile"] == "/run/web.pid"
    assert accepted(kinds["unit"], match["unit"]) == "web"


GOOD = """\
id: x
title: t
match: {actions: [start_service], platforms: [linux], error: ['x %{path:file}']}
operations: [{op: set_timeout, step_id: <<step>>, timeout_seconds: 9}]
root_cause: <<file>>
summary: s
expected_effect: e
risk: r
example: {runbook: {}, failure: {}, operations: [{}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("start_service", "no_such", "match.actions: there is no action no_such"),
        ("%{path:file}", "%{what:file}", "there is no kind what"),
        ("%{path:file}", "(?P<file>.*)", "capture by kind"),
        ("%{path:file}", "(", "unterminated"),
        ("<<file>>", "<<other>>", "<<other>> is not captured"),
        (", error: ['x %{path:file}']", "", "error or where is needed"),
        ("actions: [start_service], ", "", "actions or checks are needed"),
        ("error: [", "where: ['1 +'], error: [", "1 +"),
        ("title: t\n", "title: t\ncolour: red\n", "colour"),
        ("title: t\n", "title: [\n", "flow sequence"),
    ],
)
def test_a_bad_pattern_is_refused_with_its_place(old: str, new: str, words: str) -> None:
    assert load([("x.yaml", GOOD.encode())])[0].id == "x"
    with pytest.raises(LearnerError) as caught:
        load([("x.yaml", GOOD.replace(old, new).encode())])
    assert words in str(caught.value)
    assert str(caught.value).startswith("x.yaml:")


def test_a_repository_may_put_its_own_in_the_place_of_ours(tmp_path: Any) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    found = load([tmp_path, ("later", GOOD.replace("title: t", "title: mine").encode())])
    assert [pattern.title for pattern in found] == ["mine"]
    with pytest.raises(LearnerError, match="No such file"):
        load([tmp_path / "none.yaml"])
