from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from learner.errors import LearnerError
from learner.telemetry.redact import MASK, Redactor
from tests.samples import result

SECRET = "p@ss w/ord'\"$x+1ü"
RAW = SECRET.encode()


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        urllib.parse.quote(SECRET),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        urllib.parse.quote(SECRET, safe="").lower().replace("ord", "ord"),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(json.dumps({"k": SECRET})),
        shlex.quote(SECRET),
        shlex.join(["mysql", "-p" + SECRET]),
        repr(SECRET),
        html.escape(SECRET),
        RAW.hex(),
        RAW.hex().upper(),
        *(base64.b64encode(b"x" * n + RAW + b"yz").decode() for n in range(6)),
        *(base64.urlsafe_b64encode(b"x" * n + RAW).decode() for n in range(3)),
        base64.encodebytes(b"header: " * 6 + RAW + b" and more" * 9).decode(),
    ],
)
def test_a_secret_is_masked_in_every_form(written: str) -> None:
    masked = Redactor([SECRET]).text(f"before {written} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    for leak in ("ss w", "ord", "x+1", "x%2B1", "x%2b1", RAW.hex()[8:20]):
        assert leak not in masked.removeprefix("before ").removesuffix(" after").replace("mysql", "")
    for start in range(3):
        core = base64.b64encode(b"\0" * start + RAW)[4:-4].decode()
        assert core[:8] not in masked.replace("\n", "")


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\nabc\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNz"),
        ("cut: -----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB", "MIIEpAIB"),
        ("Authorization: Bearer abc.def-ghi123", "abc.def"),
        ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("ghp_" + "a1B2" * 9, "a1B2"),
        ("github_pat_" + "a1B2_" * 9, "a1B2"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("xoxb-1234567890-abcdefghij", "abcdefghij"),
        ("https://hooks.slack.com/services/T000/B000/XXXX", "XXXX"),
        ("password=hunter2 next", "hunter2"),
        ('DB_PASSWORD: "hunter2 hunter3"', "hunter2"),
        ('{"api_key": "hunter2"}', "hunter2"),
        ("mysql --password hunter2", "hunter2"),
        ("postgres://user:hunter2@db/x", "hunter2"),
        ("https://x-access-token:hunter2@github.com/a/b.git", "hunter2"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJzdWIi"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, leak: str) -> None:
    masked = Redactor().text(text)
    assert leak not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "web: ERROR (spawn error): pidfile /run/web/web.pid exists",
        "https://example.org/path?x=1",
        "bind: Address already in use (port 8080)",
        "the token bucket is full; password authentication failed for user web",
        "2026-11-22T05:00:00Z *** stack smashing detected ***",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_name_stays_and_its_value_goes() -> None:
    assert Redactor().text('password="hunter2", user=web') == 'password="***", user=web'
    assert Redactor().text("https://me:pw@host/x") == "https://***@host/x"


def test_patterns_of_a_host_are_masked_whole() -> None:
    assert Redactor(patterns=[r"INT-[0-9]+"]).text("see INT-42.") == "see ***."
    with pytest.raises(LearnerError, match="no regular expression"):
        Redactor(patterns=["("])


def test_a_short_secret_is_masked_where_it_stands_alone() -> None:
    assert Redactor(["abc", ""]).text("abc abcd (abc)") == "*** abcd (***)"


ALPHABET = st.text(alphabet="ab*=: \"'@/\\password+Z9", max_size=40)


@given(
    text=ALPHABET,
    secrets=st.lists(st.text(alphabet="ab*=9", max_size=6), max_size=3),
    pattern=st.sampled_from(["", "a*", "b", r"\*", r"\*a", "a|b", "(?<=\\*)b"]),
)
@example(text="**a", secrets=["*a"], pattern="")
@example(text="aabb", secrets=["ab"], pattern="b")
def test_law_masking_twice_is_masking_once(text: str, secrets: list[str], pattern: str) -> None:
    redactor = Redactor(secrets, [pattern] if pattern else [])
    once = redactor.text(text)
    assert redactor.text(once) == once


@given(before=st.text(max_size=20), secret=st.text(min_size=4, max_size=30), after=st.text(max_size=20))
def test_law_no_secret_survives(before: str, secret: str, after: str) -> None:
    if secret.strip("*"):
        assert secret not in Redactor([secret]).text(before + secret + after) or secret in before + MASK + after


def test_a_result_is_masked_everywhere_and_keeps_its_shape() -> None:
    leaky = result(
        parameters={"token": SECRET, "port": 48111, "password": "unknown to us"},
        error_message=f"login with {SECRET} failed",
        hostname="web-1",
        notes=json.dumps({"k": SECRET}),
        state_before={
            "services": {"web": "failed", SECRET: "running"},
            "files": {f"/run/{SECRET}": {"exists": True}},
            "commands": {"x": [SECRET, {"y": SECRET}]},
        },
        checks=[{"id": "running", "check": "service_running", "passed": None, "observed": SECRET}],
        tags=[SECRET],
    )
    redactor = Redactor([SECRET, "48111"])
    masked = redactor.result(leaky)
    assert SECRET not in masked.model_dump_json()
    assert json.dumps(SECRET)[1:-1] not in masked.model_dump_json()
    assert masked.parameters == {"token": MASK, "port": MASK, "password": MASK}
    assert masked.state_before.services == {"web": "failed", MASK: "running"}
    assert masked.error_message == "login with *** failed"
    assert (masked.execution_id, masked.path, masked.executed_steps) == (
        leaky.execution_id,
        leaky.path,
        leaky.executed_steps,
    )
    assert redactor.result(masked) == masked


@pytest.mark.parametrize("secret", ["failure", "linux", "running", "acme", "service_crash", "start", "2026"])
def test_a_secret_that_is_one_of_our_own_words_does_not_break_the_result(secret: str) -> None:
    masked = Redactor([secret]).result(result())
    assert masked.execution_id == result().execution_id
    assert masked.path == result().path


def test_a_program_named_after_a_secret_keeps_its_error() -> None:
    line = "rotate-token: PermissionError: [Errno 13] Permission denied: '/etc/token'"
    assert Redactor().text(line) == line
    assert "hunter2error" not in Redactor().text("password=hunter2error")
