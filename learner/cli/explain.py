"""`learner explain`: the journey of one failure."""

from __future__ import annotations

from pathlib import Path

import click

from learner.cli import job as jobs
from learner.console import document, out

SIGNS = {"done": "[green]✓[/green]", "stopped": "[red]✗[/red]", "waits": "[yellow]…[/yellow]", "told": "[dim]·[/dim]"}


@click.command()
@click.argument("subject", metavar="EXECUTION_ID | RUNBOOK")
@jobs.repository_options
@click.option("--no-forge", is_flag=True, help="Leave out what only the forge knows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(subject: str, repo: Path, remote: str, no_forge: bool, as_json: bool) -> None:
    """Why was no improvement generated? Every hop of a run or a runbook, and where it stopped.

    SUBJECT is an execution id (exec-…), a runbook (RB-LIN-SERVICE-001) or a version of one. Asks no model.
    """
    from dataclasses import replace

    from rich.markup import escape

    from learner import journey
    from learner.errors import LearnerError

    job = jobs.build(repo, remote, forge=not no_forge)
    known = journey.look(replace(job, classifier=None, proposers=jobs.proposers(None)))
    if subject.startswith("exec-"):
        hops = journey.of_execution(known, subject)
    elif subject.startswith("RB-"):
        hops = journey.of_runbook(known, subject)
    else:
        raise LearnerError(f"{subject} is neither an execution nor a runbook", "give exec-… or RB-…")
    if as_json:
        document([vars(hop) for hop in hops])
        return
    for hop in hops:
        out().print(f"{SIGNS[hop.mark]} [bold]{hop.name:<10}[/bold] {escape(hop.words)}")
