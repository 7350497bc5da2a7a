"""Every command in README.md and docs/ runs, one document after the other, and prints what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from learner.cli import reference
from tests.docs.blocks import blocks
from tests.docs.sandbox import ROOT, Sandbox, sandbox

DOCUMENTS = [ROOT / "README.md", ROOT / "telemetry/README.md", *sorted((ROOT / "docs").glob("*.md"))]
LAST = "reviewing.md"
"""It decides the one proposal that the others look at."""
RUN = sorted(
    (path for path in DOCUMENTS if any(block.not_run is None for block in blocks(path))),
    key=lambda path: (path.name == LAST, str(path)),
)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        made.prepare()
        yield made


@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of(path: Path, box: Sandbox) -> None:
    for block in blocks(path):
        if block.not_run is None:
            done = box.run(block.script, block.role)
            assert done.returncode == 0, f"{path}:{block.line}: {block.script}\n{done.stdout}"
            assert not block.misses(done.stdout), f"{path}:{block.line}: {block.misses(done.stdout)}\n{done.stdout}"


def test_what_is_not_run_says_why() -> None:
    for path in DOCUMENTS:
        for block in blocks(path):
            assert block.not_run is None or len(block.not_run) > 10, f"{path}:{block.line}"


def test_the_command_line_reference_is_what_the_commands_say(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    done = CliRunner().invoke(reference.command, ["--check"])
    assert done.exit_code == 0, done.output
