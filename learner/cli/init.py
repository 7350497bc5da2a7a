"""`learner init`: set a repository, a host or a forge up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from learner.cli import job as jobs
from learner.console import document, out
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.repository.setup import WorkTree

_HOST_ONLY = ("client_id", "executor_id", "repository", "target", "spool")
_PROTECT_ONLY = ("checks", "without_app", "branch")


@click.command()
@jobs.repository_options
@click.option("--owner", "owners", multiple=True, metavar="@ORG/TEAM", help="A code owner: who must approve runbooks.")
@click.option("--host", is_flag=True, help="Write this host's settings instead.")
@click.option("--client-id", help="With --host: whose host this is.")
@click.option("--executor-id", help="With --host: this executor, unlike any other of the client.")
@click.option(
    "--repository", type=click.Path(path_type=Path), help="With --host: the clone of the runbook repository on it."
)
@click.option("--spool", type=click.Path(path_type=Path), help="With --host: where results wait.")
@click.option(
    "--out",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --host: the file.  [default: /etc/learner/host.yml]",
)
@click.option("--protect", is_flag=True, help="Protect main on the forge instead, with your own administrator's token.")
@click.option(
    "--require-check",
    "checks",
    multiple=True,
    metavar="NAME",
    help="With --protect: a check that must pass, such as Runbooks.",
)
@click.option(
    "--without-app",
    is_flag=True,
    help="With --protect: proposals are opened with GITHUB_TOKEN, which must be allowed to.",
)
@click.option("--branch", help="With --protect: the branch people merge into.  [default: main]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(
    ctx: click.Context, repo: Path, remote: str, owners: tuple[str, ...], host: bool, client_id: str | None,
    executor_id: str | None, repository: Path | None, spool: Path | None, target: Path | None, protect: bool,
    checks: tuple[str, ...], without_app: bool, branch: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Set a runbook repository up: an example, settings, workflows, CODEOWNERS, schemas. Nothing is overwritten.

    \b
    learner init --owner @acme/sre                  in a clone of the runbook repository
    learner init --host --client-id acme --executor-id web-1 --repository /srv/runbooks
    learner init --protect                          LEARNER_TOKEN: an administrator's own
    """
    if host and protect:
        raise click.UsageError("--host and --protect are two different things: give one")
    for names, wanted, flag in ((_HOST_ONLY, host, "--host"), (_PROTECT_ONLY, protect, "--protect")):
        if not wanted and (stray := next((name for name in names if ctx.params[name]), None)):
            option = next(param.opts[0] for param in ctx.command.params if param.name == stray)
            raise click.UsageError(f"{option} belongs to {flag}")
    if host:
        if not (client_id and executor_id and repository):
            raise click.UsageError("--host needs --client-id, --executor-id and --repository")
        _host(client_id, executor_id, repository, spool, target, as_json)
    elif protect:
        _protect(repo, remote, branch or "main", checks, not without_app, as_json)
    else:
        _repository(repo, remote, owners, as_json)


# ------------------------------------------------------------------------------------ the repository


def _repository(repo: Path, remote: str, owners: Sequence[str], as_json: bool) -> None:
    import json

    from learner.cli.schema import schemas
    from learner.repository.setup import look
    from learner.setup.files import repository_files, write

    for owner in owners:
        if "@" not in owner or any(character.isspace() for character in owner):
            raise click.BadParameter(f"{owner!r} is no @login, @org/team or address", param_hint="--owner")
    texts = {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()}
    files = repository_files(owners, texts)
    tree = look(repo)
    written = write(tree.root, files)
    ignored = tree.ignored(files)
    steps = list(_next_steps(tree, remote, owners, bool(written.new)))
    if as_json:
        document({"root": str(tree.root), "written": list(written.new), "kept": list(written.kept),
                  "ignored": list(ignored), "next": steps})  # fmt: skip
        return
    for name in written.new:
        out().print(f"[green]written[/green] {name}")
    for name in written.kept:
        out().print(f"[dim]kept    {name}[/dim]")
    for name in ignored:
        out().print(f"[yellow]ignored[/yellow] {name}: a .gitignore keeps it out of commits")
    _say_next(steps)


def _next_steps(tree: WorkTree, remote: str, owners: Sequence[str], new: bool) -> list[str]:
    steps = []
    if not owners and new:
        steps.append("name your reviewers in .github/CODEOWNERS: people or teams with write access")
    if new:
        steps.append(
            "look at what was written, then: git add .github runbooks schemas telemetry && git commit -m 'Set the learner up'"
        )
    if remote not in tree.remotes:
        steps.append(f"make a repository on your forge: git remote add {remote} ADDRESS && git push -u {remote} main")
    elif new:
        steps.append(
            f"push it, or open a pull request where main is protected: git push {remote} {tree.branch or 'HEAD'}"
        )
    steps.append("protect main: LEARNER_TOKEN=… learner init --protect (docs/setup-github.md says what, and why)")
    steps.append("on every host: learner init --host --client-id … --executor-id … --repository …")
    steps.append("see what is still missing: learner doctor")
    return steps


# ------------------------------------------------------------------------------------------ the host


def _host(
    client_id: str, executor_id: str, repository: Path, spool: Path | None, target: Path | None, as_json: bool
) -> None:
    from learner.repository.setup import look
    from learner.settings import HostSettings, read
    from learner.setup.settings_text import host_file

    path = target or Path(os.environ.get("LEARNER_HOST_CONFIG", "/etc/learner/host.yml"))
    more = {"spool": str(spool.absolute())} if spool else {}
    text = host_file(client_id, executor_id, str(repository.absolute()), **more)
    settings = read(HostSettings, text, str(path))
    tree = look(repository)
    if settings.gate.remote not in tree.remotes:
        raise LearnerError(
            f"{repository} has no remote {settings.gate.remote}", "clone the runbook repository: git clone ADDRESS"
        )
    if path.exists():
        raise LearnerError(f"{path} is there already", "edit it, or name another file with --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as e:
        raise LearnerError(f"{path}: {e.strerror}", "run it with sudo, or name another file with --out") from e
    steps = []
    if not tree.has_branch(settings.gate.remote, settings.gate.branch):
        steps.append(f"fetch {settings.gate.branch}: git -C {repository} fetch {settings.gate.remote}")
    if not Path(settings.spool).is_dir():
        steps.append(f"make the spool, for the executor's user alone: install -d -m 700 {settings.spool}")
    given = f" --host-config {path}" if str(path) != "/etc/learner/host.yml" else ""
    steps.append(f"pin who signs main: learner gate trust github.com{given}")
    steps.append(f"see what is still missing: learner doctor --repo {repository}{given}")
    if as_json:
        document({"written": [str(path)], "next": steps})
        return
    out().print(f"[green]written[/green] {path}")
    _say_next(steps)


# ----------------------------------------------------------------------------------------- the forge


def _protect(repo: Path, remote: str, branch: str, checks: Sequence[str], app: bool, as_json: bool) -> None:
    from learner.forge.protect import protect
    from learner.setup.files import LABELS, source
    from learner.yaml_tree import load

    git = jobs.open_repository(repo)
    gateway = jobs.gateway(git, remote, jobs.repository_settings(git, remote))
    labels = load(source(LABELS)).value
    done = []
    for words in protect(gateway, branch, labels=labels, checks=checks, app=app):
        done.append(words)
        if not as_json:
            out().print(f"[green]set[/green] {words}")
    if as_json:
        document({"repository": gateway.name, "set": done})
    elif not done:
        out().print("nothing to do")


def _say_next(steps: Sequence[str]) -> None:
    from rich.markup import escape

    out().print("\nnext:")
    for number, step in enumerate(steps, start=1):
        out().print(f"{number}. {escape(step)}")
