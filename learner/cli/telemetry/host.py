"""`learner telemetry push`, `relay` and `import`: what a host does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from learner.cli.telemetry.common import HOST, JSON, counting, document, told, waiting
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.settings import HostSettings
    from learner.telemetry.inbox import Pushed
    from learner.telemetry.spool import Spool


_SOURCES = click.Path(path_type=Path, allow_dash=True)
_SECRETS = click.option(
    "--secret-env",
    "secret_envs",
    multiple=True,
    metavar="VARIABLE",
    help="Mask this environment variable's value, in whatever form it turns up.",
)


@click.command()
@click.argument("sources", metavar="[FILE]...", nargs=-1, type=_SOURCES)
@HOST
@JSON
@_SECRETS
@click.option("--watch", is_flag=True, help="Go on pushing, every push.interval_seconds and at once when it is urgent.")
def push(
    sources: tuple[Path, ...], host_config: Path | None, as_json: bool, secret_envs: tuple[str, ...], watch: bool
) -> None:
    """Send what waits in this host's spool to its own inbox, or to a relay.

    With FILEs (JSON, JSON Lines, folders of both, `-` for standard input) their results go into the spool first:
    checked, redacted and safe on the disk before anything is sent. The same file again is sent once.

    Exit codes: 0 all is sent, 3 some results were left out (each is named with its line), 1 the remote can't be
    reached: what was taken stays in the spool and goes with the next push.
    """
    from learner.cli import sending
    from learner.settings import host_settings

    if watch and sources:
        raise click.UsageError("--watch takes no FILE: push the files first")
    settings = host_settings(host_config)
    spool = sending.spool_of(settings)
    if watch:
        _watched(settings, spool)
        return
    with counting("{} in the spool") as count:
        taken = sending.take(sources, settings, spool, sending.secrets_in(secret_envs), count)
    try:
        with waiting("sending what waits in the spool"):
            pushed = sending.send(settings, spool)
    except LearnerError as e:
        if not taken.results:
            raise
        for one in taken.skipped:
            click.echo(f"skipped: {one.path}: {one.reason}", err=True)
        raise LearnerError(
            f"{taken.results} in the spool, not sent: {e.message}",
            "nothing is lost: run `learner telemetry push` later",
        ) from e
    aside = spool.quarantined()
    if as_json:
        document(
            {
                "taken": taken.results,
                "skipped": [one.model_dump() for one in taken.skipped],
                "sent": pushed.sent,
                "acknowledged": pushed.acknowledged,
                "remaining": pushed.remaining,
                "set_aside": [one.model_dump() for one in aside],
            }
        )
    else:
        into = f"{taken.results} taken, " if sources else ""
        click.echo(f"{into}{pushed.sent} sent, {pushed.acknowledged} acknowledged, {pushed.remaining} in the spool")
    _overdue(settings, spool)
    for one in aside:
        click.echo(f"set aside: {one.path}: {one.reason}", err=True)
    told(taken.skipped, "skipped")
    if aside:
        raise click.exceptions.Exit(3)


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
        click.echo(relaying.new_token(tokens, new_token))
        click.echo(f"kept as a digest in {tokens}; a relay that runs knows it when it is started again", err=True)
        return
    settings = host_settings(host_config)
    host, port = _address(listen)
    known = relaying.read_tokens(tokens)
    if not known:
        raise LearnerError(f"{tokens} holds no token", "make one with `learner telemetry relay --new-token CLIENT`")
    try:
        server = relaying.Relay((host, port), Path(settings.spool), known, settings.spool_limits.max_bytes)
    except OSError as e:
        raise LearnerError(f"can't listen on {listen}: {e.strerror or e}", "give another --listen ADDRESS:PORT") from e
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(cert, key)
        except OSError as e:
            server.server_close()
            raise LearnerError(f"--cert {cert}: {e.strerror or e}", "give a PEM chain, and its key with --key") from e
        # the handshake is left to the request's own thread, so that a silent peer holds up nobody else
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    elif host not in ("127.0.0.1", "localhost", "::1"):
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
@click.argument("sources", nargs=-1, type=_SOURCES, required=True)
@HOST
@JSON
@_SECRETS
def import_(sources: tuple[Path, ...], host_config: Path | None, as_json: bool, secret_envs: tuple[str, ...]) -> None:
    """Put results from SOURCES into this host's spool, and send nothing yet.

    Folders, JSON and JSON Lines, `-` for standard input.
    """
    from learner.cli import sending
    from learner.settings import host_settings

    settings = host_settings(host_config)
    with counting("{} in the spool") as count:
        taken = sending.take(sources, settings, sending.spool_of(settings), sending.secrets_in(secret_envs), count)
    if as_json:
        document({"imported": taken.results, "skipped": [one.model_dump() for one in taken.skipped]})
    else:
        click.echo(f"{taken.results} in the spool; `learner telemetry push` sends them")
    told(taken.skipped, "skipped")


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise LearnerError(f"--listen {listen}: no address and port", "write it as 127.0.0.1:8411")
    return host or "127.0.0.1", int(port)


def _watched(settings: HostSettings, spool: Spool) -> None:
    import random
    import signal
    import threading

    from learner.cli.sending import send
    from learner.telemetry.watch import watch

    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    told: set[str] = set()

    def sent(urgent: bool) -> Pushed:
        pushed = send(settings, spool, urgent=urgent)
        _overdue(settings, spool)
        for one in spool.quarantined():
            if one.path not in told:
                told.add(one.path)
                click.echo(f"set aside: {one.path}: {one.reason}", err=True)
        return pushed

    watch(
        sent,
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
