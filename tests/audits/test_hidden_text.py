"""hidden-text: characters that a reviewer does not see."""

from __future__ import annotations

import json

import pytest

from learner.runbook_file import RunbookFile, parse
from tests.audits.books import START, book, command, found, level, step

RULE = "hidden-text"


def raw(text: str) -> RunbookFile:
    """The sample with `text` spliced in as it is, as an author's editor would save it."""
    whole = json.loads(book(version=2).text)
    whole["description"] = text
    return parse(json.dumps(whole, ensure_ascii=False, indent=1).encode())


@pytest.mark.parametrize("character", ["\u202e", "\u200b", "\u2066", "\ufeff", "\u00ad"])
def test_unseen_characters_are_blocked(character: str) -> None:
    assert found(RULE, book(), raw(f"restart{character} it"))[0].level == "block"
    # Also where a quoted text hides them behind an escape.
    assert level(RULE, command("webctl", f"sta{character}rt")) == "block"


def test_letters_that_look_alike_are_blocked() -> None:
    assert level(RULE, command("syst\u0435mctl", "restart", "web")) == "block"
    assert level(RULE, step("remove_file", path="/run/w\u0435b.pid")) == "block"


def test_text_out_of_sight_warns() -> None:
    assert found(RULE, book(), raw("fine" + " " * 90 + "not fine"))[0].level == "warning"


def test_words_of_other_languages_pass() -> None:
    assert not found(RULE, book(), raw("Den Dienst neu starten – größere Störung, перезапуск, 再起動"))
    assert level(RULE, step("escalate", message="Дежурный, на помощь")) == "quiet"
    assert level(RULE, step("remove_file", path="/srv/größe/файл")) == "quiet"


def test_what_stood_there_is_not_new() -> None:
    assert not found(RULE, raw("a\u200bb"), raw("a\u200bb"))
    assert not found(RULE, book(), book({**START, "timeout_seconds": 5}, version=2))
