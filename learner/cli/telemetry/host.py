"""`learner telemetry push`, `relay` and `import`: what a host does."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from learner.cli.telemetry.common import HOST, JSON, document, told

if TYPE_CHECKING:
    from learner.models.records import SkippedFile
    from learner.settings import HostSettings
    from learner.telemetry.inbox import Pushed
    from learner.telemetry.spool import Spool


@click.command()
@HOST
@JSON
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
        document(
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
    told(aside, "set aside")


@click.command()
@HOST
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


@click.command("import")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), required=True)
@HOST
@JSON
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
        document({"imported": taken, "skipped": [one.model_dump() for one in skipped]})
    else:
        click.echo(f"{taken} in the spool; `learner telemetry push` sends them")
    told(skipped, "skipped")


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
