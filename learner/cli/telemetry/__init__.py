"""`learner telemetry`: what executors recorded, on its way and at rest."""

from __future__ import annotations

import click

from learner.cli.telemetry.branch import archive, export, fold, show
from learner.cli.telemetry.host import import_, push, relay


@click.group("telemetry")
def command() -> None:
    """Results of runs: push them, fold them in, look at them, bring them in and out."""


for _one in (push, fold, show, import_, export, archive, relay):
    command.add_command(_one)
