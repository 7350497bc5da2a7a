"""template-risks: values that become code."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import book, command, found, level, script, step

RULE = "template-risks"
OPEN = {"service": {"type": "string", "default": "web"}, "file": {"type": "string", "default": "a"}}
TIGHT = {
    "service": {"type": "string", "default": "web"},
    "file": {"type": "string", "default": "a", "pattern": "^[a-z][a-z0-9_]*$"},
    "port": {"type": "integer", "default": 1},
    "kind": {"type": "string", "default": "a", "enum": ["a", "b"]},
}


@pytest.mark.parametrize(
    "new",
    [
        command("sh", "-c", "rm -f /run/{{ file }}"),
        command("/bin/bash", "-lc", "{{ file }}"),
        command("ssh", "db1", "cat {{ file }}"),
        command("python3", "-c", "print('{{ file }}')"),
        command("sudo", "sh", "-c", "echo {{ file }}"),
        command("{{ file }}", "--now"),
        command("sh", stdin="cat {{ file }}"),
        command("sh", "-c", "echo {{ steps.start.stdout }}"),
        command("sh", "-c", "echo {{ incident.hostname }}"),
        script('eval "$FILE"', env={"FILE": "{{ file }}"}),
        script('sh -c "cat $FILE"', env={"FILE": "{{ file }}"}),
        script("$FILE --now", env={"FILE": "{{ file }}"}),
        script("import os\nos.system('cat ' + os.environ['FILE'])", "python", env={"FILE": "{{ file }}"}),
        script("Invoke-Expression $env:FILE", "powershell", env={"FILE": "{{ file }}"}),
    ],
)
def test_code_from_values_is_blocked(new: dict[str, Any]) -> None:
    assert level(RULE, new, parameters=OPEN) == "block"


@pytest.mark.parametrize(
    "new",
    [
        command("sh", "-c", "rm -f /run/{{ file }}"),
        command("sh", "-c", "webctl {{ kind }} {{ port }}"),
        command("webctl", "{{ file }}"),
        step("remove_file", path="/run/{{ file }}.pid"),
        script('rm -f "/run/$FILE"', env={"FILE": "{{ file }}"}),
    ],
)
def test_values_that_mean_nothing_to_a_shell_pass(new: dict[str, Any]) -> None:
    assert level(RULE, new, parameters=TIGHT) == "quiet"


def test_quoted_use_of_the_environment_passes() -> None:
    assert level(RULE, script('test -f "$FILE" && cat "$FILE"', env={"FILE": "{{ file }}"}), parameters=OPEN) == "quiet"
    assert level(RULE, script("rm -f $FILE", env={"FILE": "{{ file }}"}), parameters=OPEN) == "warning"


def test_outputs_that_steer_a_later_step_warn() -> None:
    assert level(RULE, step("remove_file", path="{{ steps.start.stdout }}")) == "warning"
    assert level(RULE, command("kill", "{{ steps.start.data.pid }}")) == "warning"
    assert level(RULE, step("remove_file", path="/run/{{ incident.hostname }}.pid")) == "notice"


def test_a_loose_pattern_is_no_pattern() -> None:
    loose = {**OPEN, "file": {"type": "string", "default": "a", "pattern": "[a-z]+"}}
    assert level(RULE, command("sh", "-c", "cat {{ file }}"), parameters=loose) == "block"


def test_what_the_parent_did_is_not_new() -> None:
    old = command("sh", "-c", "cat {{ service }}")
    assert not found(RULE, book(old), book({**old, "timeout_seconds": 9}, version=2))
