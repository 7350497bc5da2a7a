"""Edits: what they say is what the bytes become, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.models import RunbookEdit, RunbookMetadata
from learner.proposals.edit import EditError, applied, apply
from learner.runbook_file import parse
from learner.yaml_text import same

BECAUSE = ["exec-20261122-01JDABCD#1"]

RUNBOOK = """\
# yaml-language-server: $schema=../../schemas/runbook.schema.json
# Owned by the web team.
id: RB-LIN-SERVICE-001              # never reused
version: 1
name: Restart a crashed service
description: Start the service again and prove that it answers.
platform: linux
incident_types: [service_crash]
severity: high

parameters:                         # typed inputs
  service: {type: string, pattern: "^[A-Za-z0-9@._-]+$", description: unit name}
  port:
    type: integer                   # the one it listens on
    default: 8080

preconditions:
  - "state.disk.usage_percent < 99"  # a full disk is another runbook's

steps:
  # Start it; the manager waits for it.
  - id: start
    action: start_service
    params: {name: "{{ service }}"}
    when: "state.services[service] != 'running'"
    timeout_seconds: 30             # systemd's own is 90
    retry:
      attempts: 3
      delay_seconds: 2

  # Wait for the port.
  - id: wait_port
    action: wait_for_port
    params:
      port: "{{ port }}"            # ours
    on_failure: rollback

  - id: note
    action: run_script
    params:
      shell: sh
      env: {SERVICE: "{{ service }}"}
      script: |
        logger -t learner "started $SERVICE"

        exit 0

# What proves it.
verification:
  - id: running
    check: service_running
    params: {name: "{{ service }}"}
    within_seconds: 30
  - {id: port_open, check: port_open, params: {port: "{{ port }}"}}

rollback:
  - id: stop
    action: stop_service
    params: {name: "{{ service }}"}
# the end
"""

FLOW = json.dumps(parse(RUNBOOK.encode()).tree.value, indent=2) + "\n"
LAYOUTS = {"block": RUNBOOK, "windows": "\ufeff" + RUNBOOK.replace("\n", "\r\n"), "json": FLOW}
META = RunbookMetadata(
    parent_runbook="RB-LIN-SERVICE-001-v1", generated_by="learning_engine", requires_human_review=True
)


def edit(*operations: dict[str, Any]) -> RunbookEdit:
    whole = {
        "root_cause": "because",
        "summary": "do it",
        "expected_effect": "works",
        "risk": "low",
        "operations": [{"because": BECAUSE, **operation} for operation in operations],
    }
    return RunbookEdit.model_validate_json(json.dumps(whole))


def next_version(*operations: dict[str, Any], text: str = RUNBOOK) -> str:
    return apply(parse(text.encode()), edit(*operations), META).decode()


def difference(*operations: dict[str, Any]) -> tuple[str, str]:
    """Lines that went and that came, without the version and metadata that every edit changes."""
    import difflib

    new = next_version(*operations)
    lines = list(difflib.ndiff(RUNBOOK.splitlines(keepends=True), new.splitlines(keepends=True)))
    gone = "".join(line[2:] for line in lines if line[0] == "-" and not line[2:].startswith("version:"))
    come = "".join(line[2:] for line in lines if line[0] == "+" and not line[2:].startswith("version:"))
    assert come.endswith(METADATA)
    return gone, come.removesuffix(METADATA)


METADATA = """\
metadata:
  parent_runbook: RB-LIN-SERVICE-001-v1
  generated_by: learning_engine
  requires_human_review: true
"""
REMOVE = {
    "id": "clear_pid",
    "why": "a crash leaves it behind: the service then refuses to start",
    "params": {"path": "/run/{{ service }}.pid", "only_if": "stale_pid"},
    "action": "remove_file",
}
REMOVE_TEXT = """\
  - id: clear_pid
    action: remove_file
    params: {path: "/run/{{ service }}.pid", only_if: stale_pid}
    why: "a crash leaves it behind: the service then refuses to start"

"""

GOLDEN: list[tuple[dict[str, Any], str, str]] = [
    ({"op": "insert_step", "before": "start", "step": REMOVE}, "", REMOVE_TEXT),
    ({"op": "insert_step", "after": "start", "step": REMOVE}, "", "\n" + REMOVE_TEXT.removesuffix("\n")),
    (
        {"op": "set_parameter", "step_id": "wait_port", "name": "port", "value": 9090},
        '      port: "{{ port }}"            # ours\n',
        "      port: 9090            # ours\n",
    ),
    (
        {"op": "set_parameter", "step_id": "start", "name": "name", "value": "web"},
        '    params: {name: "{{ service }}"}\n',
        '    params: {name: "web"}\n',
    ),
    (
        {"op": "set_when", "step_id": "start", "when": None},
        "    when: \"state.services[service] != 'running'\"\n",
        "",
    ),
    (
        {"op": "set_when", "step_id": "note", "when": "steps.start.success"},
        "",
        "    when: steps.start.success\n",
    ),
    (
        {"op": "set_timeout", "step_id": "start", "timeout_seconds": 90},
        "    timeout_seconds: 30             # systemd's own is 90\n",
        "    timeout_seconds: 90             # systemd's own is 90\n",
    ),
    (
        {"op": "set_retry", "step_id": "start", "retry": {"attempts": 5, "delay_seconds": 2, "backoff": 2}},
        "      attempts: 3\n",
        "      attempts: 5\n      backoff: 2\n",
    ),
    (
        {"op": "set_on_failure", "step_id": "start", "on_failure": {"goto": "note"}},
        "",
        "    on_failure: {goto: note}\n",
    ),
    (
        {"op": "set_on_failure", "step_id": "wait_port", "on_failure": "continue"},
        "    on_failure: rollback\n",
        "    on_failure: continue\n",
    ),
    (
        {"op": "add_parameter", "name": "run_dir", "parameter": {"type": "string", "default": "/run/web"}},
        "",
        "  run_dir: {type: string, default: /run/web}\n",
    ),
    (
        {"op": "add_verification", "verification": {"id": "up", "check": "http_ok", "params": {"url": "http://127.0.0.1/"}}},
        "",
        '  - id: up\n    check: http_ok\n    params: {url: "http://127.0.0.1/"}\n',
    ),
    (
        {"op": "set_verification", "verification_id": "running", "verification": {"check": "service_running", "params": {"name": "{{ service }}"}, "within_seconds": 60}},
        "    within_seconds: 30\n",
        "    within_seconds: 60\n",
    ),
    (
        {"op": "add_rollback_step", "step": {"id": "tell", "action": "escalate", "params": {"message": "not fixed"}}},
        "",
        "  - id: tell\n    action: escalate\n    params: {message: \"not fixed\"}\n",
    ),
    (
        {"op": "set_precondition", "expression": "state.disk.usage_percent < 95", "replaces": "state.disk.usage_percent < 99"},
        '  - "state.disk.usage_percent < 99"  # a full disk is another runbook\'s\n',
        '  - "state.disk.usage_percent < 95"  # a full disk is another runbook\'s\n',
    ),
    (
        {"op": "set_precondition", "expression": "service != 'sshd'"},
        "",
        "  - \"service != 'sshd'\"\n",
    ),
    (
        {"op": "replace_step", "step_id": "wait_port", "step": {"action": "wait_for_service", "params": {"name": "{{ service }}"}, "on_failure": "rollback"}},
        '    action: wait_for_port\n      port: "{{ port }}"            # ours\n',
        '    action: wait_for_service\n      name: "{{ service }}"\n',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "gone", "come"), GOLDEN)
def test_exactly_these_lines_change(operation: dict[str, Any], gone: str, come: str) -> None:
    assert difference(operation) == (gone, come)


def test_a_new_step_stands_where_it_was_asked_for() -> None:
    new = next_version({"op": "insert_step", "before": "start", "step": REMOVE})
    assert f"steps:\n{REMOVE_TEXT}  # Start it; the manager waits for it.\n  - id: start\n" in new
    new = next_version({"op": "insert_step", "before": "wait_port", "step": REMOVE})
    assert f"      delay_seconds: 2\n\n{REMOVE_TEXT}  # Wait for the port.\n" in new
    new = next_version({"op": "insert_step", "step": REMOVE})
    assert f"        exit 0\n\n{REMOVE_TEXT}# What proves it.\n" in new


def test_the_rest_of_a_runbook_survives_a_removed_and_a_moved_step() -> None:
    new = next_version(
        {"op": "move_step", "step_id": "note", "before": "start"},
        {"op": "remove_step", "step_id": "wait_port"},
    )
    assert [step.id for step in parse(new.encode()).runbook.steps] == ["note", "start"]
    assert "# Wait for the port." in new
    assert Counter(new.splitlines()) >= Counter(line for line in RUNBOOK.splitlines() if line.lstrip().startswith("#"))


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        ([{"op": "remove_step", "step_id": "no"}], "there is no step no"),
        ([{"op": "insert_step", "step": {**REMOVE, "id": "start"}}], "the id start is taken"),
        ([{"op": "insert_step", "step": {**REMOVE, "id": "running"}}], "the id running is taken"),
        ([{"op": "insert_step", "step": {"action": "wait", "params": {"seconds": 1}}}], "needs an id"),
        ([{"op": "insert_step", "before": "stop", "step": REMOVE}], "no step stop among the steps"),
        ([{"op": "insert_step", "before": "start", "after": "start", "step": REMOVE}], "both before and after"),
        ([{"op": "insert_step", "step": {**REMOVE, "action": "no_such"}}], "there is no action no_such"),
        ([{"op": "insert_step", "step": {**REMOVE, "params": {"path": "/run/{{ unit }}"}}}], "unit is no parameter"),
        ([{"op": "replace_step", "step_id": "start", "step": {**REMOVE}}], "ids stay"),
        ([{"op": "set_timeout", "step_id": "start", "timeout_seconds": 30}], "changes nothing"),
        ([{"op": "set_when", "step_id": "note", "when": None}], "no when to take away"),
        ([{"op": "set_when", "step_id": "note", "when": "1 +"}], "steps.2.when"),
        ([{"op": "move_step", "step_id": "note"}], "stands there already"),
        ([{"op": "move_step", "step_id": "note", "after": "note"}], "no step note among"),
        ([{"op": "add_parameter", "name": "port", "parameter": {"type": "integer", "default": 1}}], "a parameter port"),
        ([{"op": "add_parameter", "name": "x", "parameter": {"type": "integer"}}], "has no default"),
        ([{"op": "set_verification", "verification_id": "no", "verification": {}}], "no verification no"),
        ([{"op": "set_precondition", "expression": "state.disk.usage_percent < 99"}], "there already"),
        ([{"op": "set_precondition", "expression": "true", "replaces": "false"}], "no precondition false"),
        ([{"op": "set_on_failure", "step_id": "start", "on_failure": {"goto": "nowhere"}}], "goto nowhere"),
        (
            [{"op": "remove_step", "step_id": x} for x in ("start", "wait_port", "note")],
            "note is the only step",
        ),
        ([{"op": "set_parameter", "step_id": "start", "name": "nme", "value": "x"}], "nme"),
        ([{"op": "set_parameter", "step_id": "note", "name": "script", "value": "echo {{ service }}"}], "no templates"),
    ],
)  # fmt: skip
def test_an_edit_that_does_not_fit_is_refused_with_the_reason(operations: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(EditError, match=words):
        next_version(*operations)


def test_metadata_is_written_in_its_own_order_and_replaced_by_the_next() -> None:
    parent = parse(RUNBOOK.encode())
    change = edit({"op": "insert_step", "step": REMOVE})
    said = RunbookMetadata.model_validate_json(
        json.dumps({
            "requires_human_review": True, "generated_by": "learning_engine", "parent_runbook": parent.runbook.ref,
            "generated_at": "2026-11-22T06:00:00Z", "generation_model": "patterns/x", "failure_type": "runbook_insufficient",
            "generated_from_failures": ["exec-20261122-01JDABCD", "exec-20261122-01JDABCE"], "original_error": "pidfile <path> exists",
        })
    )  # fmt: skip
    text = apply(parent, change, said).decode()
    assert text[text.index("metadata:") :] == (
        "metadata:\n  parent_runbook: RB-LIN-SERVICE-001-v1\n  generated_by: learning_engine\n"
        "  generated_at: 2026-11-22T06:00:00Z\n  generation_model: patterns/x\n"
        "  generated_from_failures: [exec-20261122-01JDABCD, exec-20261122-01JDABCE]\n"
        '  failure_type: runbook_insufficient\n  original_error: "pidfile <path> exists"\n'
        "  requires_human_review: true\n# the end\n"
    )
    assert apply(parent, change, said).decode() == text
    again = apply(parse(text.encode()), edit({"op": "set_timeout", "step_id": "start", "timeout_seconds": 60}), META)
    assert parse(again).tree.value["metadata"] == parse(apply(parent, change, META)).tree.value["metadata"]
    assert parse(again).runbook.version == 3


@st.composite
def operations(draw: st.DrawFn, value: dict[str, Any], number: int) -> dict[str, Any]:
    steps = [step["id"] for step in value["steps"]]
    every = [step["id"] for part in ("steps", "rollback") for step in value.get(part, [])]
    new_id = f"new_{number}"
    why = draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    new = draw(
        st.sampled_from([
            {"id": new_id, "action": "wait", "params": {"seconds": 2}},
            {"id": new_id, "action": "remove_file", "params": {"path": "/run/a b/{{ service }}.pid"}, "become": True},
            {"id": new_id, "action": "run_command", "params": {"argv": ["sh", "-c", "echo 'x: y' # z\n"]}, "when": "port > 1"},
            {"id": new_id, "action": "run_script", "params": {"shell": "sh", "script": "set -e\n\nif true; then\n  echo # no\nfi\n"}},
            {"id": new_id, "action": "escalate", "params": {"message": "é 😀 : {"}, "retry": {"attempts": 2, "delay_seconds": 0.5}},
        ])
    )  # fmt: skip
    step = {**new, **({"why": why} if why else {})}
    anchor = draw(
        st.sampled_from([{}, {"before": draw(st.sampled_from(steps))}, {"after": draw(st.sampled_from(steps))}])
    )
    claim = draw(st.sampled_from([v["id"] for v in value["verification"]]))
    text = draw(st.sampled_from(["steps.start.success", "service != 'x'", "state.disk.free_gb > 1", "port > 1"]))
    return draw(
        st.sampled_from([
            {"op": "insert_step", "step": step, **anchor},
            {"op": "replace_step", "step_id": draw(st.sampled_from(every)), "step": {k: v for k, v in step.items() if k != "id"}},
            {"op": "remove_step", "step_id": draw(st.sampled_from(every))},
            {"op": "move_step", "step_id": draw(st.sampled_from(steps)), **anchor},
            {"op": "set_parameter", "step_id": "start", "name": "name", "value": draw(st.sampled_from(["web", "a b", "{{ service }}"]))},
            {"op": "set_when", "step_id": draw(st.sampled_from(every)), "when": draw(st.none() | st.just(text))},
            {"op": "set_retry", "step_id": draw(st.sampled_from(every)), "retry": draw(st.sampled_from([None, {"attempts": 4}, {"attempts": 2, "until": "port > 1"}]))},
            {"op": "set_timeout", "step_id": draw(st.sampled_from(every)), "timeout_seconds": draw(st.sampled_from([30, 45, 0.5]))},
            {"op": "set_on_failure", "step_id": draw(st.sampled_from(steps)), "on_failure": draw(st.sampled_from(["abort", "continue", {"goto": "note"}]))},
            {"op": "add_parameter", "name": f"p_{number}", "parameter": {"type": "string", "default": draw(st.sampled_from(["x", "yes", ""]))}},
            {"op": "add_verification", "verification": {"id": new_id, "check": "file_absent", "params": {"path": "/run/x"}}},
            {"op": "set_verification", "verification_id": claim, "verification": {"check": "port_open", "params": {"port": 80}, "stays_good_seconds": 5}},
            {"op": "add_rollback_step", "step": step},
            {"op": "set_precondition", "expression": text},
        ])
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(sorted(LAYOUTS)))
def test_the_bytes_say_what_the_edit_says(data: st.DataObject, layout: str) -> None:
    text = LAYOUTS[layout]
    parent = parse(text.encode())
    value = parent.tree.value
    chosen: list[dict[str, Any]] = []
    for number in range(data.draw(st.integers(1, 5))):
        chosen.append(data.draw(operations(value, number)))
        try:
            value = applied(parent.tree.value, edit(*chosen))
        except EditError:
            chosen.pop()
    if not chosen:
        return
    try:
        new = apply(parent, edit(*chosen), META)
    except EditError as e:
        assert "layout" not in e.message
        return
    made = parse(new)
    meta = META.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    assert same(made.tree.value, {**value, "version": 2, "metadata": meta})
    if layout == "json":
        assert json.loads(new) == made.tree.value
        return
    assert new.startswith("\ufeff".encode()) == (layout == "windows")
    assert (b"\r\n" in new) == (layout == "windows")
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]
    assert Counter(line.strip() for line in new.decode().splitlines()) >= Counter(lines)
    if all(o["op"].startswith(("insert", "add")) for o in chosen):
        kept = iter(new.decode().splitlines(keepends=True))
        assert all(line in kept for line in text.splitlines(keepends=True) if not line.startswith("version"))
