from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.models import ExecutionResult
from learner.telemetry import parse
from tests.samples import document, result

SLUGS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
IDS = st.from_regex(r"exec-[0-9]{8}-[0-9A-Za-z]{4,20}", fullmatch=True)
TIMES = st.datetimes(timezones=st.just(UTC))


@given(client=SLUGS, execution_id=IDS, started=TIMES)
def test_law_a_result_lies_where_its_path_says(client: str, execution_id: str, started: object) -> None:
    text = started.isoformat().replace("+00:00", "Z")  # type: ignore[attr-defined]
    one = result(client_id=client, execution_id=execution_id, started_at=text, completed_at=text)
    place = parse.place(one.path)
    if client == "archive":
        assert place is None
        return
    assert place
    assert (place.client_id, place.execution_id, place.path) == (client, execution_id, one.path)
    assert place.date == f"{one.started_at.year:04}/{one.started_at.month:02}/{one.started_at.day:02}"
    assert parse.placed(one.path, parse.encoded(one)) == one


@given(
    path=st.text(max_size=60)
    | st.from_regex(r"telemetry/[^/]{1,8}/[0-9]{4}/[0-9]{2}/[0-9]{2}/exec-[0-9]{8}-[a-z]{4}\.json\n?")
)
def test_law_a_place_is_its_path(path: str) -> None:
    place = parse.place(path)
    assert place is None or place.path == path


def test_the_same_result_gives_the_same_bytes() -> None:
    again = ExecutionResult.model_validate_json(parse.encoded(result()))
    assert parse.encoded(again) == parse.encoded(result())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (json.dumps(document(client_id="a/b")).encode(), "client_id"),
        (json.dumps(document(parameters={"x": float("nan")})).encode(), "NaN is no JSON"),
        (json.dumps(document(parameters={"x": float("-inf")})).encode(), "Infinity is no JSON"),
        (b" " * 2_000_000, "2000000 bytes are more than the 1048576"),
        (json.dumps({}).encode(), "more)"),
    ],
)
def test_what_is_no_result_is_told_in_one_line(raw: bytes, reason: str) -> None:
    found = parse.result(raw)
    assert isinstance(found, str)
    assert reason in found
    assert "\n" not in found


def test_the_word_nan_in_a_text_is_nothing_bad() -> None:
    assert parse.result(json.dumps(document(notes="NaN and Infinity")).encode()) == result(notes="NaN and Infinity")


def test_a_result_at_another_path_is_refused() -> None:
    assert "belongs at" in str(parse.placed("telemetry/acme/2026/11/23/x.json", parse.encoded(result())))
