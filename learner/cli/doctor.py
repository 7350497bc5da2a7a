"""`learner doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from learner.cli import job as jobs
from learner.console import document, out
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.doctor import Check

SIGNS = {"ok": "[green]✓[/green]", "warn": "[yellow]![/yellow]", "bad": "[red]✗[/red]", "skip": "[dim]–[/dim]"}


@click.command()
@jobs.repository_options
@click.option(
    "--host-config", type=click.Path(path_type=Path, dir_okay=False), help="Look at this host's executor too."
)
@click.option(
    "--try-refs",
    is_flag=True,
    help="Write and delete a ref below the inbox prefix, to see whether the host takes such refs.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(repo: Path, remote: str, host_config: Path | None, try_refs: bool, as_json: bool) -> int:
    """Look at tools, repository, forge, telemetry, model and host, and say what to do next.

    Exit code 1 when something does not work. Warnings name what works but is looser than docs/setup-github.md asks.
    """
    from rich.markup import escape

    from learner.doctor import host, tools

    found = [*tools.checks(), *_repository(repo, remote, try_refs)]
    if host_config is not None or os.environ.get("LEARNER_HOST_CONFIG"):
        found += host.checks(host_config, datetime.now(UTC))
    if as_json:
        document([vars(check) for check in found])
    else:
        for check in found:
            more = f" [dim]→ {escape(check.next_step)}[/dim]" if check.next_step else ""
            out().print(f"{SIGNS[check.state]} [bold]{check.name:<14}[/bold] {escape(check.words)}{more}")
    return 1 if any(check.state == "bad" for check in found) else 0


def _repository(repo: Path, remote: str, try_refs: bool) -> Iterator[Check]:
    """The repository and its forge; what can't be reached is a finding, and the rest is looked at all the same."""
    from learner.doctor import Check, forge, repository

    try:
        job = jobs.build(repo, remote, forge=False)
        yield from repository.checks(job, try_refs=try_refs)
    except LearnerError as e:
        yield Check("repository", "bad", e.message, e.hint or "")
        return
    try:
        yield from forge.checks(jobs.gateway(job.git, remote, job.settings), job.base)
    except LearnerError as e:
        yield Check("forge", "bad", e.message, e.hint or "")
