"""`learner telemetry`: what executors recorded, on its way and at rest."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.models.execution import ExecutionResult
    from learner.models.records import SkippedFile
    from learner.repository.git import Git
    from learner.settings import HostSettings, RepositorySettings
    from learner.telemetry.choose import Choice
    from learner.telemetry.inbox import Pushed
    from learner.telemetry.spool import Spool

T = TypeVar("T")
_REPO = click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="A clone of the runbook repository.",
)
_HOST = click.option("--host-config", type=click.Path(path_type=Path, dir_okay=False), help="This host's settings.")
_FOLDER = click.option(
    "--telemetry", "folder", type=click.Path(path_type=Path), help="A plain folder or .jsonl file, without Git."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group("telemetry")
def command() -> None:
    """Results of runs: push them, fold them in, look at them, bring them in and out."""


@command.command()
@_HOST
@_JSON
@click.option("--watch", is_flag=True, help="Go on pushing, every push.interval_seconds and at once when it is urgent.")
def push(host_config: Path | None, as_json: bool, watch: bool) -> None:
    """Send what waits in this host's spool to its own inbox, or to a relay."""
    from learner.settings import host_settings

    settings = host_settings(host_config)
    spool = _spool(settings)
    if watch:
        _watched(settings, spool)
        return
    pushed, aside = _pushed(settings, spool), spool.quarantined()
    if as_json:
        _document(
            {
                "sent": pushed.sent,
                "acknowledged": pushed.acknowledged,
                "remaining": pushed.remaining,
                "set_aside": [one.model_dump() for one in aside],
            }
        )
    else:
        click.echo(f"{pushed.sent} sent, {pushed.acknowledged} acknowledged, {pushed.remaining} in the spool")
    _overdue(settings, spool)
    _told(aside, "set aside")


@command.command()
@_HOST
@click.option("--listen", default="127.0.0.1:8411", show_default=True, help="Address and port.")
@click.option("--tokens", type=click.Path(path_type=Path, dir_okay=False), required=True, help="One client a line.")
@click.option("--cert", type=click.Path(path_type=Path, dir_okay=False), help="Certificate chain, for TLS.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Its private key.")
@click.option("--new-token", metavar="CLIENT", help="Make a token for a client, print it, and end.")
def relay(
    host_config: Path | None, listen: str, tokens: Path, cert: Path | None, key: Path | None, new_token: str | None
) -> None:
    """Take over the spools of hosts that may not reach the forge, and push them as this executor."""
    import ssl
    import threading

    from learner.settings import host_settings
    from learner.telemetry import relay as relaying

    if new_token:
        token = secrets.token_urlsafe(32)
        with tokens.open("a", encoding="utf-8") as file:
            file.write(f"{new_token} {relaying.digest(token)}\n")
        click.echo(token)
        return
    settings = host_settings(host_config)
    host, _, port = listen.rpartition(":")
    server = relaying.Relay(
        (host or "127.0.0.1", int(port)),
        Path(settings.spool),
        relaying.read_tokens(tokens),
        settings.spool_limits.max_bytes,
    )
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        # the handshake is left to the request's own thread, so that a silent peer holds up nobody else
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    elif (host or "127.0.0.1") not in ("127.0.0.1", "localhost", "::1"):
        click.echo("without --cert and --key tokens and results cross the network in the clear", err=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    click.echo(f"listening on {listen} for {', '.join(server.spools) or 'nobody'}", err=True)
    try:
        pushers = [
            threading.Thread(
                target=_watched, args=(settings.model_copy(update={"client_id": client}), spool), daemon=True
            )
            for client, spool in server.spools.items()
        ]
        for pusher in pushers:
            pusher.start()
        for pusher in pushers:
            pusher.join()
    finally:
        server.shutdown()


@command.command()
@_REPO
@_JSON
def fold(repo: Path, as_json: bool) -> None:
    """Bring what lies in all inboxes onto the telemetry branch."""
    from learner.repository.git import Identity
    from learner.telemetry import fold as folding

    git, settings, remote = _repository(repo)
    folded = folding.fold(
        git,
        remote,
        settings=settings.telemetry,
        author=Identity(settings.forge.author_name, settings.forge.author_email),
        now=datetime.now(UTC),
    )
    if as_json:
        _document(
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
    _told(folded.quarantined, "quarantined")


@command.command()
@click.argument("execution_ids", nargs=-1)
@click.option("--client", help="Only of this client.")
@click.option("--host", help="Only of this host.")
@click.option("--runbook", help="Only of this runbook, such as RB-LIN-SERVICE-001 or RB-LIN-SERVICE-001-v2.")
@click.option("--status", type=click.Choice(["success", "failure", "partial", "skipped"]))
@click.option("--since", help="Only what started on or after this date, YYYY-MM-DD, UTC.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest so many.")
@_FOLDER
@_REPO
@_JSON
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
    found = newest(_chosen(repo, folder, wanted, skipped), max(limit, len(execution_ids)))
    if as_json:
        _document(
            {"results": [one.model_dump(mode="json") for one in found], "skipped": [s.model_dump() for s in skipped]}
        )
    else:
        _table(found)
    if missing := sorted(set(execution_ids) - {one.execution_id for one in found}):
        raise LearnerError(
            f"not on telemetry: {', '.join(missing)}", "`learner explain ID` says where its journey stopped"
        )
    _told(skipped, "skipped")


@command.command("import")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), required=True)
@_HOST
@_JSON
def import_(sources: tuple[Path, ...], host_config: Path | None, as_json: bool) -> None:
    """Put results from SOURCES into this host's spool: folders, .json and .jsonl files, `-` for JSON Lines on stdin."""
    from learner.models.execution import ExecutionResult
    from learner.models.records import SkippedFile
    from learner.settings import host_settings
    from learner.telemetry.plain import lines, plain
    from learner.telemetry.redact import Redactor

    settings = host_settings(host_config)
    spool, redactor = _spool(settings), Redactor(patterns=settings.redact)
    taken = 0
    skipped: list[SkippedFile] = []
    for source in sources:
        read = lines(sys.stdin.buffer, "stdin") if str(source) == "-" else plain(source)
        for name, found in read:
            if isinstance(found, ExecutionResult):
                spool.add(redactor.result(found))
                taken += 1
            else:
                skipped.append(SkippedFile(path=name, reason=found))
    if as_json:
        _document({"imported": taken, "skipped": [one.model_dump() for one in skipped]})
    else:
        click.echo(f"{taken} in the spool; `learner telemetry push` sends them")
    _told(skipped, "skipped")


@command.command()
@click.option("--format", "kind", type=click.Choice(["jsonl", "parquet", "otlp"]), default="jsonl", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file; else standard output.")
@click.option("--client", help="Only of this client.")
@click.option("--runbook", help="Only of this runbook or runbook version.")
@click.option("--since", help="Only what started on or after this date, YYYY-MM-DD, UTC.")
@_FOLDER
@_REPO
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
    chosen = _chosen(repo, folder, Choice(client_id=client, runbook=runbook, since=since), skipped)
    if kind == "parquet":
        from learner.telemetry import archive as archiving

        if output is None:
            raise click.UsageError("--format parquet needs --output FILE")
        archiving.write(output, ((one.path, encoded(one), one) for one in chosen))
    else:
        from learner.telemetry import otlp

        if kind == "otlp":
            lines = (json.dumps(document, ensure_ascii=False) for document in otlp.documents(chosen))
        else:
            lines = (one.model_dump_json() for one in chosen)
        with output.open("wb") if output else nullcontext(sys.stdout.buffer) as sink:
            for line in lines:
                sink.write(line.encode() + b"\n")
    _told(skipped, "skipped")


@command.command()
@_REPO
@click.option("--before", metavar="YYYY-MM", help="Months before this one; without it, those before last month.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and change nothing.")
@_JSON
def archive(repo: Path, before: str | None, dry_run: bool, as_json: bool) -> None:
    """Move months gone by into Parquet files, so that the tip of the telemetry branch stays small."""
    from learner.repository.git import Identity
    from learner.telemetry import archive as archiving
    from learner.telemetry import branch

    git, settings, remote = _repository(repo)
    now = datetime.now(UTC)
    try:
        first = datetime.strptime(before, "%Y-%m").date() if before else (now.date().replace(day=1) - timedelta(1))
    except ValueError as e:
        raise LearnerError(f"--before {before}: no month", "write it as 2026-11") from e
    tip = branch.tip(git, remote, settings.telemetry)
    if tip is None or dry_run:
        moved = {month: len(files) for month, files in archiving.due(git, tip, first).items()} if tip else {}
    else:
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
        _document({"months": moved, "dry_run": dry_run})
    elif not moved:
        click.echo("nothing to do")
    for month, count in sorted(moved.items()) if not as_json else ():
        click.echo(f"{month}: {count} results {'would be archived' if dry_run else 'archived'}")


def _spool(settings: HostSettings) -> Spool:
    from learner.telemetry.spool import Spool

    return Spool(Path(settings.spool), max_bytes=settings.spool_limits.max_bytes)


def _pushed(settings: HostSettings, spool: Spool) -> Pushed:
    from learner.repository.git import Git, Identity
    from learner.telemetry import handover, inbox

    remote = settings.telemetry_remote or settings.gate.remote
    if remote.startswith(handover.SCHEME):
        token = os.environ.get(settings.relay_token_env, "")
        return handover.push(spool, remote, token=token, batch=settings.push.batch)
    return inbox.push(
        spool,
        Git(Path(settings.repository)),
        remote,
        client_id=settings.client_id,
        executor_id=settings.executor_id,
        prefix=settings.ref_prefix,
        author=Identity(settings.executor_id, f"{settings.executor_id}@{settings.client_id}"),
        now=datetime.now(UTC),
        batch=settings.push.batch,
    )


def _watched(settings: HostSettings, spool: Spool) -> None:
    import random
    import signal
    import threading

    from learner.telemetry.watch import watch

    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    watch(
        lambda: _pushed(settings, spool),
        spool,
        interval_seconds=settings.push.interval_seconds,
        jitter=settings.push.jitter,
        chance=random.Random(),  # noqa: S311 it spreads pushes out, it keeps no secret
        stop=stop,
        told=lambda line: click.echo(line, err=True),
    )


def _overdue(settings: HostSettings, spool: Spool) -> None:
    level = spool.level()
    if level.oldest and (days := (datetime.now(UTC) - level.oldest).days) > settings.spool_limits.max_age_days:
        click.echo(
            f"{level.waiting} results wait in the spool, the oldest for {days} days: does the learner run?", err=True
        )


def _repository(repo: Path) -> tuple[Git, RepositorySettings, str]:
    """The clone, the settings on its main, and the remote that telemetry lives on."""
    from learner.repository.git import Git
    from learner.settings import REPOSITORY_FILE, RepositorySettings, read

    git = Git(repo)
    for revision in ("refs/remotes/origin/main", "refs/heads/main"):
        if git.resolve(revision) and (text := git.blob(revision, REPOSITORY_FILE)) is not None:
            settings = read(RepositorySettings, text, REPOSITORY_FILE)
            return git, settings, settings.telemetry.remote or "origin"
    return git, RepositorySettings(), "origin"


def _chosen(repo: Path, folder: Path | None, wanted: Choice, skipped: list[SkippedFile]) -> Iterator[ExecutionResult]:
    from learner.errors import GitError
    from learner.models.execution import ExecutionResult
    from learner.models.records import SkippedFile
    from learner.telemetry import branch
    from learner.telemetry.plain import plain

    if folder is not None:
        read = plain(folder)
    else:
        git, settings, remote = _repository(repo)
        try:
            tip = branch.tip(git, remote, settings.telemetry)
        except GitError as e:
            tip = branch.known_tip(git, remote)
            if tip is None:
                raise
            click.echo(f"{e}; this is what was here already", err=True)
        read = branch.read(git, tip, wanted.path, max_bytes=settings.telemetry.max_result_bytes) if tip else iter(())
    for name, found in _counted(read):
        if not isinstance(found, ExecutionResult):
            skipped.append(SkippedFile(path=name, reason=found))
        elif wanted.holds(found):
            yield found


def _counted(read: Iterator[T]) -> Iterator[T]:
    """`read`, with a count on a terminal once it takes longer than a second."""
    from learner.console import err

    if not err().is_terminal:
        yield from read
        return
    begun = time.monotonic()
    status = err().status("reading")
    try:
        for count, one in enumerate(read, 1):
            if count % 1000 == 0 and time.monotonic() - begun > 1:
                status.update(f"{count:,} results read")
                status.start()
            yield one
    finally:
        status.stop()


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


def _document(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def _told(skipped: Sequence[SkippedFile], word: str) -> None:
    """Say on standard error what was left out; exit code 3 when there is something."""
    for one in skipped:
        click.echo(f"{word}: {one.path}: {one.reason}", err=True)
    if skipped:
        raise click.exceptions.Exit(3)
