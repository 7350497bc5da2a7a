"""What the commands of `learner telemetry` share."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from learner.models.execution import ExecutionResult
    from learner.models.records import SkippedFile
    from learner.repository.git import Git
    from learner.settings import RepositorySettings
    from learner.telemetry.choose import Choice

_EVERY_SECONDS = 10.0
REPO = click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="A clone of the runbook repository.",
)
HOST = click.option("--host-config", type=click.Path(path_type=Path, dir_okay=False), help="This host's settings.")
FOLDER = click.option(
    "--telemetry", "folder", type=click.Path(path_type=Path), help="A plain folder or .jsonl file, without Git."
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def repository(repo: Path) -> tuple[Git, RepositorySettings, str]:
    """The clone, the settings on its main, and the remote that telemetry lives on."""
    from learner.repository.git import Git
    from learner.settings import REPOSITORY_FILE, RepositorySettings, read

    git = Git(repo)
    for revision in ("refs/remotes/origin/main", "refs/heads/main"):
        if git.resolve(revision) and (text := git.blob(revision, REPOSITORY_FILE)) is not None:
            settings = read(RepositorySettings, text, REPOSITORY_FILE)
            return git, settings, settings.telemetry.remote or "origin"
    return git, RepositorySettings(), "origin"


def chosen_results(
    repo: Path, folder: Path | None, wanted: Choice, skipped: list[SkippedFile]
) -> Iterator[ExecutionResult]:
    """Results that `wanted` holds, of a plain folder or of the branch; what was left out is put into `skipped`."""
    from learner.errors import GitError
    from learner.models.execution import ExecutionResult
    from learner.models.records import SkippedFile
    from learner.telemetry import branch
    from learner.telemetry.plain import plain

    if folder is not None:
        read = plain(folder)
    else:
        git, settings, remote = repository(repo)
        try:
            with waiting(f"fetching {settings.telemetry.branch}"):
                tip = branch.tip(git, remote, settings.telemetry)
        except GitError as e:
            tip = branch.known_tip(git, remote)
            if tip is None:
                raise
            click.echo(f"{e}; this is what was here already", err=True)
        read = branch.read(git, tip, wanted.path, max_bytes=settings.telemetry.max_result_bytes) if tip else iter(())
    with counting("{} results read") as count:
        for number, (name, found) in enumerate(read, 1):
            count(number)
            if not isinstance(found, ExecutionResult):
                skipped.append(SkippedFile(path=name, reason=found))
            elif wanted.holds(found):
                yield found


@contextmanager
def counting(words: str) -> Iterator[Callable[[int], None]]:
    """Takes counts and tells them as `words` (`{}` is the count) once it takes longer than a second.

    That is a line that moves on a terminal, and one line every ten seconds elsewhere.
    """
    from learner.console import err, tell

    told = time.monotonic() - _EVERY_SECONDS + 1
    status = err().status(words.format("")) if err().is_terminal else None

    def count(number: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told < (_EVERY_SECONDS if status is None else 0):
            return
        if status is None:
            told = now
            tell(words.format(f"{number:,}"))
        elif number % 100 == 0:
            status.update(words.format(f"{number:,}"))
            status.start()

    try:
        yield count
    finally:
        if status is not None:
            status.stop()


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Tells `words` while something takes longer than a second: beside a sign that moves on a terminal, else as a line."""
    from learner.console import err, tell

    if err().is_terminal:
        with err().status(words):
            yield
        return
    later = threading.Timer(1.0, tell, [words])
    later.daemon = True
    later.start()
    try:
        yield
    finally:
        later.cancel()


def document(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def told(skipped: Sequence[SkippedFile], word: str) -> None:
    """Say on standard error what was left out; exit code 3 when there is something."""
    for one in skipped:
        click.echo(f"{word}: {one.path}: {one.reason}", err=True)
    if skipped:
        raise click.exceptions.Exit(3)
