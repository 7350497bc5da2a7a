"""What a new version can touch and its parent could not."""

from __future__ import annotations

from learner.audits import Change
from learner.audits.capabilities import diff, phrases
from tests.audits.books import START, book, command, script, step


def changed(*new: dict[str, object], old: tuple[dict[str, object], ...] = (), **more: object) -> object:
    return diff(
        book(*old, START, **({"parameters": more["parameters"]} if "parameters" in more else {})).runbook,
        book(*new, START, version=2, **more).runbook,
    )  # type: ignore[arg-type]


def test_phrases_of_every_kind() -> None:
    runbook = book(
        step("remove_file", "a", path="/run/web.pid"),
        step("start_service", "b", name="db"),
        step("check_port", "c", port=5433),
        {**command("/usr/bin/rm", "-f", "/run/x"), "id": "d", "become": True},
        {**script("sudo systemctl stop web > /var/log/x"), "id": "e"},
        step("check_http", "f", url="http://127.0.0.1:8080/health"),
    ).runbook
    assert phrases(runbook) >= {
        "path /run/web.pid", "service db", "host 127.0.0.1:5433", "command /usr/bin/rm", "path /run/x", "privilege sudo",
        "command systemctl", "path /var/log/x", "host 127.0.0.1:8080",
    }  # fmt: skip


def test_added_and_removed() -> None:
    found = changed(step("start_service", name="db"), old=(step("remove_file", path="/run/web.pid"),))
    assert found.added == ("service db",)  # type: ignore[attr-defined]
    assert found.removed == ("path /run/web.pid",)  # type: ignore[attr-defined]
    assert found.widened == ()  # type: ignore[attr-defined]


def test_templates_stand_as_written_and_filled_in() -> None:
    assert {"service {{ service }}", "service web"} <= phrases(book().runbook)


def test_a_literal_that_became_a_template_is_wider() -> None:
    parameters = {"service": {"type": "string", "default": "web"}, "pid": {"type": "string"}}
    found = changed(
        step("remove_file", path="/run/{{ pid }}"),
        old=(step("remove_file", path="/run/web.pid"),),
        parameters=parameters,
    )
    assert "path /run/{{ pid }} (was /run/web.pid)" in found.widened  # type: ignore[attr-defined]


def test_a_wider_pattern_and_a_directory_further_up_are_wider() -> None:
    old = step("clean_directory", path="/var/log/app", patterns=["*.gz"])
    assert changed(step("clean_directory", path="/var/log/app", patterns=["*"]), old=(old,)).widened  # type: ignore[attr-defined]
    kept = step("find_large_files", path="/var/log/app", min_size_mb=1)
    assert changed(step("find_large_files", path="/var/log", min_size_mb=1), old=(kept,)).widened == (
        "path /var/log (looked at) (was /var/log/app)",
    )  # type: ignore[attr-defined]


def test_no_change_is_no_difference() -> None:
    found = diff(book().runbook, book(version=2).runbook)
    assert (found.added, found.removed, found.widened) == ((), (), ())


def test_a_list_that_is_one_template() -> None:
    parameters = {"service": {"type": "string", "default": "web"}}
    assert phrases(book({**command("x"), "params": {"argv": "{{ [service, 'x'] }}"}}, parameters=parameters).runbook)


def test_a_value_that_nobody_knows_yet_is_named_once() -> None:
    asked = {"parameters": {"service": {"type": "string"}}}
    change = Change.first(book(START, **asked))
    assert diff(change.old.runbook, change.new.runbook).added == ("service {{ service }}",)


def test_to_act_is_more_than_to_look() -> None:
    look = step("check_service_status", "look", name="db")
    start = step("start_service", name="db")
    acting = diff(book(look, START).runbook, book(look, start, START, version=2).runbook)
    assert (acting.added, acting.removed, acting.widened) == (("service db",), (), ("service db (was looked at)",))
    looking = diff(book(start).runbook, book(look, version=2).runbook)
    assert (looking.added, looking.removed) == ((), ("service db",))
    assert "service db (looked at)" in phrases(book(look).runbook)
