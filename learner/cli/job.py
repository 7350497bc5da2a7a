"""From options and settings to a `Job`: where the learner works, and by whose leave."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from learner.console import tell, warn
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.forge.gateway import Gateway
    from learner.model_client import ModelClient
    from learner.pipeline import Job
    from learner.proposals.brief import Proposer
    from learner.repository.git import Git
    from learner.settings import RepositorySettings

F = TypeVar("F", bound=Callable[..., Any])


def repository_options(function: F) -> F:
    """--repo and --remote."""
    for option in (
        click.option("--remote", default="origin", show_default=True, help="The remote that holds main."),
        click.option(
            "--repo",
            type=click.Path(path_type=Path, file_okay=False, exists=True),
            default=Path(),
            help="A clone of the runbook repository.  [default: this folder]",
        ),
    ):
        function = option(function)
    return function


def model_options(function: F) -> F:
    """--record, --replay and --candidates."""
    folder = click.Path(path_type=Path, file_okay=False)
    for option in (
        click.option("--record", type=folder, help="Keep every exchange with a model in this folder."),
        click.option(
            "--replay",
            type=click.Path(path_type=Path, file_okay=False, exists=True),
            help="Answer from kept exchanges instead of a model.",
        ),
        click.option(
            "--candidates",
            type=click.IntRange(1, 8),
            default=1,
            show_default=True,
            help="Drafts a cluster; the best by checks and replay is proposed.",
        ),
    ):
        function = option(function)
    return function


def open_repository(repo: Path) -> Git:
    """Git in the clone at `repo`.

    Raises: `LearnerError` when it is none.
    """
    from learner.repository.git import Git

    git = Git(repo.resolve())
    if git.attempt("rev-parse", "--git-dir").returncode != 0:
        raise LearnerError(
            f"{repo.resolve()} is no Git repository", "pass --repo, or try the loop first: `learner demo`"
        )
    return git


def repository_settings(git: Git, remote: str) -> RepositorySettings:
    """`.github/learner.yml` of the remote's main as it was last fetched; the defaults when there is none."""
    from learner.repository import refs
    from learner.settings import REPOSITORY_FILE, RepositorySettings, read

    for revision in (refs.private(remote, "main"), f"refs/remotes/{remote}/main", "main"):
        if (text := git.blob(revision, REPOSITORY_FILE)) is not None:
            return read(RepositorySettings, text, REPOSITORY_FILE)
    return RepositorySettings()


def gateway(git: Git, remote: str, settings: RepositorySettings) -> Gateway:
    """The way to the forge with the token of the settings' variable.

    Raises: `LearnerError` when there is no token, or nothing says which repository it is.
    """
    from learner.forge.gateway import Gateway, repository_name

    url = git.text("remote", "get-url", remote)
    forge = settings.forge.model_copy(update={"api_url": os.environ.get("GITHUB_API_URL", settings.forge.api_url)})
    token = os.environ.get(forge.token_env) or os.environ.get("GITHUB_TOKEN") or ""
    return Gateway(forge, repository_name(forge, url), token)


def model_client(settings: RepositorySettings, record: Path | None, replay: Path | None) -> ModelClient | None:
    """The model endpoint, when there is one: an address or a key in the settings, or kept exchanges."""
    key = os.environ.get(settings.model.key_env)
    if not (settings.model.base_url or key or replay):
        return None
    from learner.model_client import ModelClient

    return ModelClient(settings.model, key, record=record, replay=replay)


def proposers(client: ModelClient | None, folder: Path | None = None) -> tuple[Proposer, ...]:
    """Who drafts: the model when there is one, and always the patterns, which also stand in for it.

    `folder` may hold more patterns; those of a repository's main are added when it is read.
    """
    from learner.proposals import patterns

    known = (
        patterns.builtin() if folder is None or not folder.is_dir() else (*patterns.builtin(), *patterns.load([folder]))
    )
    by_pattern = patterns.PatternProposer(known)
    if client is None:
        return (by_pattern,)
    from learner.proposals.openai import ModelProposer

    return (ModelProposer(client), by_pattern)


def build(
    repo: Path,
    remote: str,
    *,
    record: Path | None = None,
    replay: Path | None = None,
    candidates: int = 1,
    forge: bool = True,
) -> Job:
    """The job of one run: settings from main, the forge and the model by their variables."""
    from learner.pipeline import Job, fetch_main
    from learner.repository.git import Identity
    from learner.settings import RepositorySettings

    git = open_repository(repo)
    now = datetime.now(UTC)
    # main is fetched first: its settings decide where telemetry lives and which forge is asked.
    fetch_main(Job(git, remote, RepositorySettings(), Identity("learner", "learner"), "", now, ()))
    settings = repository_settings(git, remote)
    client = model_client(settings, record, replay)
    if client is None:
        tell("no model is set up: failures are judged by rules and repaired by patterns")
    return Job(
        git=git,
        remote=remote,
        settings=settings,
        author=Identity(settings.forge.author_name, settings.forge.author_email),
        run_id=f"run-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        now=now,
        proposers=proposers(client),
        gateway=gateway(git, remote, settings) if forge else None,
        classifier=client,
        candidates=candidates,
        tell=tell,
    )


def say_skipped(skipped: Any) -> None:
    """Warn of every input that could not be used."""
    for one in skipped:
        warn(f"skipped {one.path}: {one.reason}")
