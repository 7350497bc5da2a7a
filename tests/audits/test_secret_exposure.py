"""secret-exposure: secrets that would be seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import book, command, found, level, script, step

RULE = "secret-exposure"
SECRET = {"service": {"type": "string", "default": "web"}, "token": {"type": "string", "secret": True}}


@pytest.mark.parametrize(
    "new",
    [
        command("webctl", "--token", "{{ token }}"),
        command("webctl", "--token={{ token }}"),
        command("webctl", "{{ token | upper }}"),
        command("webctl", "{{ token[0] }}"),
        command("webctl", "{{ [token] | join }}"),
        command("webctl", "{{ incident.parameters.token }}"),
        command("webctl", "{{ incident.parameters }}"),
        command("sh", "-c", "webctl --token {{ token }}"),
        step("write_file", path="/etc/web/token", content="{{ token }}"),
        step("ensure_line", path="/etc/web/web.conf", line="token = {{ token }}"),
        step("check_http", url="http://127.0.0.1/?t={{ token }}"),
        step("escalate", message="the token is {{ token }}"),
        step("remove_file", path="/run/{{ token }}"),
        script('echo "$TOKEN"', env={"TOKEN": "{{ token }}"}),
        script('logger "using ${TOKEN}"', env={"TOKEN": "{{ token }}"}),
        script('curl -H "Authorization: $TOKEN" http://127.0.0.1/', env={"TOKEN": "{{ token }}"}),
        script("set -x\nwebctl login", env={"TOKEN": "{{ token }}"}),
        script("printenv", env={"TOKEN": "{{ token }}"}),
        script("import os; print(os.environ['TOKEN'])", "python", env={"TOKEN": "{{ token }}"}),
        command("sh", "-c", "echo $TOKEN", env={"TOKEN": "{{ token }}"}),
    ],
)
def test_a_secret_that_others_would_read_is_blocked(new: dict[str, Any]) -> None:
    assert level(RULE, new, parameters=SECRET) == "block"


@pytest.mark.parametrize(
    "new",
    [
        command("webctl", "login", env={"TOKEN": "{{ token }}"}),
        command("webctl", "login", "--token-stdin", stdin="{{ token }}"),
        script("webctl login", env={"TOKEN": "{{ token }}"}),
        script('echo "logged in"; webctl login', env={"TOKEN": "{{ token }}"}),
        command("webctl", "{{ service }}"),
        step("escalate", message="the token of {{ service }} has expired"),
    ],
)
def test_the_ways_that_are_meant_for_secrets_pass(new: dict[str, Any]) -> None:
    assert level(RULE, new, parameters=SECRET) == "quiet"


def test_in_a_check() -> None:
    claim = {"id": "running", "check": "http_ok", "params": {"url": "http://127.0.0.1/?t={{ token }}"}}
    assert found(RULE, book(parameters=SECRET), book(version=2, parameters=SECRET, verification=[claim]))


def test_a_secret_that_is_none_any_more() -> None:
    bare = {**SECRET, "token": {"type": "string"}}
    assert found(RULE, book(parameters=SECRET), book(version=2, parameters=bare))[0].level == "block"
    # Dropping the flag and using the value in one edit hides nothing.
    places = [
        f.where
        for f in found(RULE, book(parameters=SECRET), book(command("x", "{{ token }}"), version=2, parameters=bare))
    ]
    assert places == ["parameters.token", "steps.extra.params.argv.1"]


def test_a_secret_with_a_default() -> None:
    filled = {**SECRET, "token": {"type": "string", "secret": True, "default": "hunter2!"}}
    assert found(RULE, book(parameters=SECRET), book(version=2, parameters=filled))[0].level == "block"


@pytest.mark.parametrize(
    "text",
    [
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE aws s3 ls",
        "mysql --password=correcthorse -e 'select 1'",
        "export API_KEY=abcdef123456",
        "curl https://user:secret1@10.0.0.1/",
        "printf -- '-----BEGIN RSA PRIVATE KEY-----'",
        "TOKEN=ghp_" + "a" * 36,
    ],
)
def test_a_value_in_the_text_is_blocked(text: str) -> None:
    assert level(RULE, script(text)) == "block"


@pytest.mark.parametrize(
    "text", ["mysql --password=$PASSWORD", "password=$(cat /run/secrets/x)", "PASSWORD= webctl", "password: '***'"]
)
def test_a_name_is_no_value(text: str) -> None:
    assert level(RULE, script(text)) == "quiet"


def test_what_the_parent_did_is_not_new() -> None:
    old = command("webctl", "--token", "{{ token }}")
    assert not found(
        RULE, book(old, parameters=SECRET), book({**old, "timeout_seconds": 5}, version=2, parameters=SECRET)
    )
