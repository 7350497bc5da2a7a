"""`learner report`: metrics and alerts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from learner.cli import job as jobs
from learner.console import document, out

if TYPE_CHECKING:
    from learner.report.metrics import Metrics


@click.command()
@jobs.repository_options
@click.option("--check", is_flag=True, help="Exit with 1 when one of the four alerts speaks.")
@click.option(
    "--issues", is_flag=True, help="Keep one issue an alert on the forge: opened, updated in place, closed by itself."
)
@click.option("--no-forge", is_flag=True, help="Leave out what only the forge knows: proposals and decisions.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(repo: Path, remote: str, check: bool, issues: bool, no_forge: bool, as_json: bool) -> int:
    """Does v2 really beat v1? Verified success of every version, what people decided, and what waits.

    Also failures that are shown as one since they differ in little, and, as low priority, what verified runs show to be
    wasted or worn: steps that change nothing, second tries, growing durations, shorter ways.

    Alerts: review backlog, approval rate, a high-priority review that waits too long, and verified success that is
    lower after an improvement. Their limits stand under `alerts` in .github/learner.yml.
    """
    from learner import pipeline
    from learner.report.alerts import alerts
    from learner.report.issues import keep

    job = jobs.build(repo, remote, forge=not no_forge)
    metrics = pipeline.report(job)
    found = alerts(metrics, job.settings.alerts)
    if as_json:
        document(metrics.model_dump(mode="json") | {"alerts": [alert.model_dump(mode="json") for alert in found]})
    else:
        show(metrics)
        for alert in found:
            out().print(f"[yellow]alert[/yellow] {alert.name}: {alert.message}. [dim]{alert.next_step}[/dim]")
        if check and not found:
            out().print("[green]no alert[/green]")
    if issues and job.gateway is not None:
        for words in keep(found, job.gateway):
            out().print(words)
    return 1 if check and found else 0


def show(metrics: Metrics) -> None:
    """The report for people."""
    from rich.markup import escape
    from rich.table import Table

    from learner.report.tables import COLUMNS, version_rows

    rate = f"{metrics.approval_rate:.0%}" if metrics.approval_rate is not None else "–"
    out().print(
        f"[bold]{metrics.improvements_this_week}[/bold] improvements this week · {metrics.generated} generated · "
        f"{metrics.approved} approved · {metrics.rejected} rejected · approval rate {rate} · {len(metrics.open_reviews)} open"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("mean", "change") else "left", no_wrap=True)
    for row in version_rows(metrics):
        table.add_row(*row)
    out().print(table)
    for one in metrics.for_people:
        out().print(
            f"for people: {one.client_id}, {one.failure_type.replace('_', ' ')}, {one.failures} failures of "
            f"{', '.join(one.runbooks)}: [dim]{escape(one.example)}[/dim]"
        )
    for alike in metrics.near_equal:
        out().print(
            f"near-equal: {alike.ref}, {alike.failures} failures in {alike.forms} forms that are shown as one: "
            f"[dim]{escape(alike.title)}[/dim]"
        )
    if metrics.usage_this_week.model_calls:
        usage = metrics.usage_this_week
        out().print(
            f"models this week: {usage.model_calls} calls, {usage.input_tokens} + {usage.output_tokens} tokens, "
            f"about ${usage.cost_usd:.2f}"
        )
    for review in metrics.open_reviews:
        out().print(f"waiting: #{review.number} {review.ref}, {review.priority}, {review.age_hours:.1f} h")
    for ref in metrics.unverified:
        out().print(f"[yellow]{ref} is mostly unverified[/yellow]: its verification can't judge")
    for habit in metrics.habits:
        out().print(f"[dim]low priority: {habit.ref}: {escape(habit.words)}[/dim]")
