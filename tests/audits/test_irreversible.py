"""irreversible: changes that can't be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, found, level, step

RULE = "irreversible"


@pytest.mark.parametrize(
    "new",
    [
        step("remove_file", path="/etc/web/web.conf"),
        step("write_file", path="/etc/web/web.conf", content="x", backup=False),
        step("copy_file", source="/etc/web/default.conf", destination="/etc/web/web.conf"),
        step("clean_directory", path="/srv/web/uploads", patterns=["*.part"]),
    ],
)
def test_what_is_lost_is_noticed(new: dict[str, Any]) -> None:
    assert level(RULE, new) == "notice"


@pytest.mark.parametrize(
    "new",
    [
        step("remove_file", path="/run/web/web.pid"),
        step("remove_file", path="/var/lib/dpkg/lock-frontend"),
        step("remove_file", path="/var/lib/pgsql/data/postmaster.pid"),
        step("write_file", path="/etc/web/web.conf", content="x"),
        step("clean_directory", path="/var/log/web", patterns=["*.gz"]),
        step("create_directory", path="/run/web"),
    ],
)
def test_what_is_made_anew_passes(new: dict[str, Any]) -> None:
    assert level(RULE, new) == "quiet"


def test_a_backup_before_passes_and_one_after_does_not() -> None:
    keep, drop = (
        step("backup_file", "keep", path="/etc/web/web.conf"),
        step("remove_file", "drop", path="/etc/web/web.conf"),
    )
    assert level(RULE, keep, drop) == "quiet"
    assert level(RULE, drop, keep) == "notice"
    assert level(RULE, step("backup_file", "keep", path="/etc/web/other.conf"), drop) == "notice"


def test_a_backup_that_is_switched_off() -> None:
    kept = step("write_file", path="/etc/web/web.conf", content="x")
    bare = {**kept, "params": {**kept["params"], "backup": False}}
    assert found(RULE, book(kept, START), book(bare, START, version=2))
