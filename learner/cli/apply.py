"""`learner apply`: the half that writes, and talks to no model."""

from __future__ import annotations

from pathlib import Path

import click

from learner.cli import job as jobs
from learner.cli.learn import show_learned
from learner.errors import LearnerError


@click.command()
@click.argument("plan", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@jobs.repository_options
def command(plan: Path, repo: Path, remote: str) -> int:
    """Carry PLAN out: ledger first, then branches, pull requests, comments and closings.

    The plan is trusted in nothing. Every proposal is made again from its edit, held against main and audited; one
    that differs or is blocked stops everything (exit code 10).
    """
    from pydantic import ValidationError

    from learner import pipeline
    from learner.models import Plan

    try:
        planned = Plan.model_validate_json(plan.read_bytes())
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LearnerError(f"{plan}: {where}: {first['msg']}", "make it with `learner plan` of this version") from e
    learned = pipeline.apply(jobs.build(repo, remote), planned)
    show_learned(learned)
    return 3 if learned.skipped else 0
