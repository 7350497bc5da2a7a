"""`learner demo`: the whole loop on this machine."""

from __future__ import annotations

import signal
from types import FrameType

import click

from learner.console import document, out
from learner.errors import LearnerError


@click.command()
@click.option("--yes", is_flag=True, help="Merge the proposals at once, as the person who typed this.")
@click.option("--json", "as_json", is_flag=True, help="Print the closing report as JSON.")
def command(yes: bool, as_json: bool) -> int:
    """Watch a runbook fail for real, a better version appear as a pull request, and a merge make it run.

    Starts a private supervisord with three small services and a local forge under one temporary folder, breaks
    them, and takes everything away again at the end. Needs no key, no network and no rights.
    """
    try:
        from learner.demo.story import REPAIRED, tell
    except ModuleNotFoundError as e:
        raise LearnerError(f"the demo needs {e.name}", "pip install 'runbook-learner[demo]'") from e

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    metrics = tell(out(), yes=yes)
    if as_json:
        document(metrics.model_dump(mode="json"))
    rates = {version.ref: version.success_rate for version in metrics.versions}
    better = all(rates.get(f"{runbook}-v1") == 0.0 and rates.get(f"{runbook}-v2") == 1.0 for runbook in REPAIRED)
    untouched = not any(ref.startswith("RB-LIN-TOKEN-001-v2") for ref in rates)
    # Without --yes a person decided, and may have decided otherwise.
    return 0 if (better and untouched) or not yes else 1
