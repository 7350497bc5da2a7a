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


def positional(text: str, *arguments: str, shell: str = "sh") -> dict[str, Any]:
    return command(shell, "-c", text, "sh", *arguments)


@pytest.mark.parametrize(
    "new",
    [
        positional('test -f "$1" && cat "$1"', "{{ file }}"),
        positional('find . -name "$1" | head', "{{ file }}"),
        positional('webctl "$1" | awk -v name="$2" \'$1 == name\'', "{{ service }}", "{{ file }}"),
        command("bash", "-eu", "-o", "pipefail", "-c", 'cat "$1"', "bash", "{{ file }}"),
        command("/bin/sh", "-ec", 'grep -q "$1" /etc/hosts', "sh", "{{ file }}"),
        positional('[ "$(date +%s)" -lt "$1" ]', "{{ steps.start.exit_code }}"),
    ],
)
def test_a_value_handed_to_a_script_as_an_argument_passes(new: dict[str, Any]) -> None:
    assert level(RULE, new, parameters=OPEN) == "quiet"


@pytest.mark.parametrize(
    "new",
    [
        positional("cat {{ file }}", "{{ file }}"),
        positional('eval "$1"', "{{ file }}"),
        positional('"$1" --now', "{{ file }}"),
        positional("true; $1", "{{ file }}"),
        positional('if "$1"; then :; fi', "{{ file }}"),
        positional('"$@"', "{{ file }}"),
        positional('exec "$@"', "x", "{{ file }}"),
        positional('shift; sh -c "$1"', "x", "{{ file }}"),
        positional('. "$1"', "{{ file }}"),
        positional('awk "$1" /etc/hosts', "{{ file }}"),
        positional('python3 -c "$1"', "{{ file }}"),
        positional('ssh db1 "cat $1"', "{{ file }}"),
        positional('trap "$1" EXIT', "{{ file }}"),
        command("sh", "-c", 'eval "$0"', "{{ file }}"),
        command("sudo", "sh", "-c", 'cat "$1"', "sh", "{{ file }}"),
        command("ssh", "db1", "sh", "-c", 'cat "$1"', "sh", "{{ file }}"),
        command("powershell", "-Command", "cat", "{{ file }}"),
        command("bash", "-co", "pipefail", 'cat "$1"', "bash", "{{ file }}"),
        command("sh", "-s", "--", "{{ file }}"),
    ],
)
def test_an_argument_that_the_script_runs_is_blocked(new: dict[str, Any]) -> None:
    assert level(RULE, new, parameters=OPEN) == "block"


def test_an_unquoted_argument_warns() -> None:
    assert level(RULE, positional("rm -f $1", "{{ file }}"), parameters=OPEN) == "warning"


def test_a_claims_environment_is_read_as_a_steps_is() -> None:
    def claim(text: str) -> dict[str, Any]:
        params = {"argv": ["sh", "-c", text], "env": {"FILE": "{{ file }}"}}
        return {"id": "claimed", "check": "command_succeeds", "params": params}

    old = book(parameters=OPEN)
    for text, wanted in (('test -f "$FILE"', []), ('eval "$FILE"', ["block"])):
        new = book(version=2, parameters=OPEN, verification=[claim(text)])
        assert [finding.level.value for finding in found(RULE, old, new)] == wanted
