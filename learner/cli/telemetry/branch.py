"""`learner telemetry fold`, `show`, `export` and `archive`: what is done with the branch."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from learner.cli.telemetry.common import FOLDER, JSON, REPO, chosen_results, document, repository, told, waiting
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.models.execution import ExecutionResult
    from learner.models.records import SkippedFile


@click.command()
@REPO
@JSON
def fold(repo: Path, as_json: bool) -> None:
    """Bring what lies in all inboxes onto the telemetry branch."""
    from learner.repository.git import Identity
    from learner.telemetry import fold as folding
    from learner.telemetry.empty_disk import lean_for

    git, settings, remote = repository(repo)
    with waiting("folding what lies in the inboxes"):
        folded = folding.fold(
            git,
            remote,
            settings=settings.telemetry,
            author=Identity(settings.forge.author_name, settings.forge.author_email),
            now=datetime.now(UTC),
            lean=lean_for(git, remote, settings.telemetry, lambda line: click.echo(line, err=True)),
        )
    if as_json:
        document(
            {
                "results": folded.results,
                "quarantined": [one.model_dump() for one in folded.quarantined],
                "left": list(folded.left),
                "commit": folded.commit,
            }
        )
    else:
        click.echo(f"{folded.results} new on {settings.telemetry.branch}" if folded.results else "nothing to do")
    for ref in folded.left:
        click.echo(f"left for the next run: {ref}", err=True)
    told(folded.quarantined, "quarantined")


@click.command()
@click.argument("execution_ids", nargs=-1)
@click.option("--client", help="Only of this client.")
@click.option("--host", help="Only of this host.")
@click.option("--runbook", help="Only of this runbook, such as RB-LIN-SERVICE-001 or RB-LIN-SERVICE-001-v2.")
@click.option("--status", type=click.Choice(["success", "failure", "partial", "skipped"]))
@click.option("--since", help="Only what started on or after this date, YYYY-MM-DD, UTC.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest so many.")
@FOLDER
@REPO
@JSON
def show(
    execution_ids: tuple[str, ...],
    client: str | None,
    host: str | None,
    runbook: str | None,
    status: str | None,
    since: str | None,
    limit: int,
    folder: Path | None,
    repo: Path,
    as_json: bool,
) -> None:
    """Show results: those of EXECUTION_IDS, or the newest that the filters leave."""
    from learner.telemetry.choose import Choice, newest

    wanted = Choice(frozenset(execution_ids), client, host, runbook, status, since)
    skipped: list[SkippedFile] = []
    found = newest(chosen_results(repo, folder, wanted, skipped), max(limit, len(execution_ids)))
    if as_json:
        document(
            {"results": [one.model_dump(mode="json") for one in found], "skipped": [s.model_dump() for s in skipped]}
        )
    else:
        _table(found)
    if missing := sorted(set(execution_ids) - {one.execution_id for one in found}):
        raise LearnerError(
            f"not on telemetry: {', '.join(missing)}", "`learner explain ID` says where its journey stopped"
        )
    told(skipped, "skipped")


@click.command()
@click.option("--format", "kind", type=click.Choice(["jsonl", "parquet", "otlp"]), default="jsonl", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file; else standard output.")
@click.option("--client", help="Only of this client.")
@click.option("--runbook", help="Only of this runbook or runbook version.")
@click.option("--since", help="Only what started on or after this date, YYYY-MM-DD, UTC.")
@FOLDER
@REPO
def export(
    kind: str,
    output: Path | None,
    client: str | None,
    runbook: str | None,
    since: str | None,
    folder: Path | None,
    repo: Path,
) -> None:
    """Write results out: JSON Lines, Parquet, or OpenTelemetry log records (OTLP/JSON, one request a line)."""
    from learner.telemetry.choose import Choice
    from learner.telemetry.parse import encoded

    skipped: list[SkippedFile] = []
    chosen = chosen_results(repo, folder, Choice(client_id=client, runbook=runbook, since=since), skipped)
    if kind == "parquet":
        from learner.telemetry import parquet

        if output is None:
            raise click.UsageError("--format parquet needs --output FILE")
        parquet.write(output, ((encoded(one), one) for one in chosen), plain=True)
    else:
        from learner.telemetry import otlp

        if kind == "otlp":
            lines = (json.dumps(document, ensure_ascii=False) for document in otlp.documents(chosen))
        else:
            lines = (one.model_dump_json() for one in chosen)
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as sink:
            for line in lines:
                sink.write(line.encode() + b"\n")
    told(skipped, "skipped")


@click.command()
@REPO
@click.option("--before", metavar="YYYY-MM", help="Months before this one; without it, those before last month.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and change nothing.")
@JSON
def archive(repo: Path, before: str | None, dry_run: bool, as_json: bool) -> None:
    """Move months gone by into Parquet files, so that the tip of the telemetry branch stays small."""
    from learner.repository.git import Identity
    from learner.telemetry import archive as archiving
    from learner.telemetry import branch

    git, settings, remote = repository(repo)
    now = datetime.now(UTC)
    try:
        first = datetime.strptime(before, "%Y-%m").date() if before else (now.date().replace(day=1) - timedelta(1))
    except ValueError as e:
        raise LearnerError(f"--before {before}: no month", "write it as 2026-11") from e
    with waiting(f"reading {settings.telemetry.branch}"):
        tip = branch.tip(git, remote, settings.telemetry)
        due = {month: len(files) for month, files in archiving.due(git, tip, first).items()} if tip else {}
    if tip is None or dry_run:
        moved = due
    else:
        with waiting(f"archiving {sum(due.values()):,} results"):
            moved = dict(
                archiving.archive(
                    git,
                    remote,
                    tip,
                    settings=settings.telemetry,
                    author=Identity(settings.forge.author_name, settings.forge.author_email),
                    now=now,
                    before=first,
                    told=lambda line: click.echo(line, err=True),
                ).months
            )
    if as_json:
        document({"months": moved, "dry_run": dry_run})
    elif not moved:
        click.echo("nothing to do")
    for month, count in sorted(moved.items()) if not as_json else ():
        click.echo(f"{month}: {count} results {'would be archived' if dry_run else 'archived'}")


def _table(results: list[ExecutionResult]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not results:
        click.echo("no results")
        return
    table = Table(box=None)
    for name in ("execution", "started (UTC)", "client", "host", "runbook", "status", "verified"):
        table.add_column(name, no_wrap=True)
    table.add_column("error")
    for one in results:
        verified = {True: "yes", False: "no", None: "unknown"}[one.verification_passed]
        error = (one.error_message or "").partition("\n")[0][:80]
        cells = (
            one.execution_id,
            f"{one.started_at:%Y-%m-%d %H:%M:%S}",
            one.client_id,
            one.hostname,
            one.runbook_ref,
            one.status.value,
            verified,
            error,
        )
        # Text, not markup: what a host reported must not colour or link anything
        table.add_row(*(Text(cell) for cell in cells))
    # a file or a pipe has no width: every row stays on its line there
    Console(width=None if sys.stdout.isatty() else 240).print(table)
