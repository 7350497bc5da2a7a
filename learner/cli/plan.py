"""`learner plan`: the half that talks to models and needs no write token."""

from __future__ import annotations

from pathlib import Path

import click

from learner.cli import job as jobs
from learner.cli.learn import show_decisions, show_follow_ups
from learner.console import out, tell


@click.command()
@jobs.repository_options
@jobs.model_options
@click.option(
    "--out",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("plan.json"),
    show_default=True,
    help="Where the plan is written.",
)
def command(repo: Path, remote: str, record: Path | None, replay: Path | None, candidates: int, target: Path) -> int:
    """Decide everything, write it down as plan.json, change nothing.

    A token that may read is enough. `learner apply plan.json` carries it out, after checking it again.
    """
    from learner import pipeline

    planned = pipeline.plan(jobs.build(repo, remote, record=record, replay=replay, candidates=candidates))
    target.write_text(planned.model_dump_json(indent=2) + "\n", encoding="utf-8")
    show_decisions(planned.decisions)
    show_follow_ups(planned.follow_ups)
    count = len(planned.proposals) + sum(up.outcome == "proposed" for up in planned.follow_ups)
    out().print(f"{count} proposals planned" if count else "nothing to propose")
    tell(f"written to {target}")
    jobs.say_skipped(planned.skipped)
    return 3 if planned.skipped else 0
