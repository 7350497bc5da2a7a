"""`learner forge`: the local forge, a stand-in for GitHub on loopback."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from learner.errors import LearnerError


@click.group()
def command() -> None:
    """The local forge: a stand-in for GitHub on loopback."""


@command.command()
@click.option(
    "--repo", "repository", type=click.Path(path_type=Path), required=True, help="The bare repository to serve."
)
@click.option(
    "--name", default="acme/runbooks", show_default=True, help="The repository's name on the forge, OWNER/NAME."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address; others are refused.")
@click.option("--port", type=click.IntRange(0, 65535), default=8473, show_default=True, help="0 takes any free port.")
@click.option(
    "--users",
    "users_path",
    type=click.Path(path_type=Path),
    help="YAML or JSON file of users. [default: beside the repository]",
)
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path),
    help="File for pull requests and reviews. [default: beside the repository]",
)
def serve(repository: Path, name: str, host: str, port: int, users_path: Path | None, state_path: Path | None) -> None:
    """Serve one bare repository: REST, Git over HTTP, and a page to review pull requests.

    The users file holds `users:`, a list of {login, token, role, type, name, email, signing_key}. Roles are read,
    triage, write, maintain, admin; a type is User or Bot. When there is no such file a fresh one is written, for this
    account alone to read.
    """
    try:
        from learner.local_forge.forge import Forge, check_bare
        from learner.local_forge.server import check_loopback
        from learner.local_forge.server import serve as start
    except ImportError as e:
        raise LearnerError(f"the local forge needs {e.name}", "pip install 'runbook-learner[local]'") from e
    from learner.local_forge.users import create_users, load_users

    check_loopback(host)
    check_bare(repository)
    users_path = users_path or repository.with_name(f"{repository.name.removesuffix('.git')}.users.yaml")
    fresh = not users_path.exists()
    users = create_users(users_path) if fresh else load_users(users_path)
    with start(Forge(repository, users, name, state_path), host, port) as running:
        signal.signal(signal.SIGTERM, _end)
        click.echo(f"{'New users' if fresh else 'Users'} in {users_path}", err=True)
        for user in users:
            if not user.is_bot:
                click.echo(f"Sign in as {user.login} ({user.role}), once: {running.login_url(user.login)}", err=True)
        click.echo(f"API {running.api_url}", err=True)
        click.echo(running.url)
        try:
            while running.wait(3600):
                pass
        except KeyboardInterrupt:
            click.echo("Ended.", err=True)


def _end(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the forge as ^C does: running requests get to end."""
    del number, frame
    raise KeyboardInterrupt
