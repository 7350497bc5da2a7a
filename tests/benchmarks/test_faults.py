"""A handful of the fault table over SSH, as the table itself is made: real services, a real sshd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults import COLUMNS, HEAD, SECTIONS, with_section

EXPECTED = {
    "nginx: its configuration is gone": ("failure", "unknown", "no"),
    "nginx still shows the certificate before the renewed one": ("success", "yes", "yes"),
    "last night's backup is missing": ("success", "yes", "yes"),
    "what should be backed up is gone": ("failure", "unknown", "no"),
    "a disk is full of old logs": ("success", "yes", "yes"),
}
"""Fault → result, verified, really well."""


def test_faults_over_ssh_are_told_truthfully(root: Path) -> None:
    if (
        sys.platform != "linux"
        or os.geteuid() != 0
        or not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    ):
        pytest.skip("needs root, nginx and OpenSSH")
    words = [word for name in EXPECTED for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--ssh", *words],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if " | RB-" in line
    ]
    assert {row[0]: tuple(row[2:5]) for row in rows} == EXPECTED
    assert "5 faults · **0 false passes**" in done.stdout


def test_a_table_takes_its_own_place_and_leaves_the_other(root: Path) -> None:
    here, far = SECTIONS.values()
    page = with_section("# Faults\n\nAn old page.\n", far, "over ssh, old\n")
    page = with_section(with_section(page, here, "here\n"), far, "over ssh\n")
    assert page == f"{HEAD}\n## {here}\n\nhere\n\n## {far}\n\nover ssh\n"


def test_both_tables_are_in_the_docs_and_hold_no_false_pass(root: Path) -> None:
    page = (root / "docs/faults.md").read_text()
    assert page.startswith(HEAD)
    assert page.count(COLUMNS) == 2
    assert page.count("**0 false passes**") == 2
    rows = [line for line in page.splitlines() if " | RB-" in line]
    assert len(rows) >= 50
    assert not [row for row in rows if "| yes | no |" in row]
