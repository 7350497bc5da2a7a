"""`learner doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from learner.cli import job as jobs
from learner.console import document, out
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.forge.gateway import Gateway
    from learner.repository.git import Git
    from learner.settings import RepositorySettings


@dataclass(frozen=True)
class Check:
    """One thing looked at: `ok`, `warn` (works, but looser than advised), `bad` (does not work), `skip`."""

    name: str
    state: Literal["ok", "warn", "bad", "skip"]
    words: str
    next_step: str = ""


SIGNS = {"ok": "[green]✓[/green]", "warn": "[yellow]![/yellow]", "bad": "[red]✗[/red]", "skip": "[dim]–[/dim]"}


@click.command()
@jobs.repository_options
@click.option(
    "--host-config", type=click.Path(path_type=Path, dir_okay=False), help="Look at this host's executor too."
)
@click.option(
    "--try-refs",
    is_flag=True,
    help="Write and delete a ref below the inbox prefix, to see whether the host takes such refs.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(repo: Path, remote: str, host_config: Path | None, try_refs: bool, as_json: bool) -> int:
    """Look at tools, repository, forge, telemetry, model and host, and say what to do next.

    Exit code 1 when something does not work. Warnings name what works but is looser than docs/setup-github.md asks.
    """
    from rich.markup import escape

    found = [*_tools(), *_repository(repo, remote, try_refs)]
    if host_config is not None or os.environ.get("LEARNER_HOST_CONFIG"):
        found += _host(host_config)
    if as_json:
        document([vars(check) for check in found])
    else:
        for check in found:
            more = f" [dim]→ {escape(check.next_step)}[/dim]" if check.next_step else ""
            out().print(f"{SIGNS[check.state]} [bold]{check.name:<14}[/bold] {escape(check.words)}{more}")
    return 1 if any(check.state == "bad" for check in found) else 0


def _tools() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok", version)
    git = shutil.which("git")
    if git is None:
        yield Check("git", "bad", "not installed", "install git 2.38 or newer")
        return
    from learner.repository.git import Git

    said = Git(Path.cwd()).text("version").split()[2]
    numbers = tuple(int(part) for part in said.split(".")[:2])
    yield Check(
        "git", "ok" if numbers >= (2, 38) else "bad", said, "" if numbers >= (2, 38) else "install git 2.38 or newer"
    )
    keygen = shutil.which("ssh-keygen")
    yield Check(
        "ssh-keygen",
        "ok" if keygen else "warn",
        keygen or "not installed",
        "" if keygen else "needed to check SSH signatures",
    )


def _repository(repo: Path, remote: str, try_refs: bool) -> Iterator[Check]:
    try:
        job = jobs.build(repo, remote, forge=False)
    except LearnerError as e:
        yield Check("repository", "bad", e.message, e.hint or "")
        return
    from learner import pipeline

    runbooks, broken = pipeline.current_runbooks(job.git, pipeline.fetch_main(job))
    yield Check("repository", "ok", f"main holds {len(runbooks)} runbooks")
    for one in broken:
        yield Check("runbook", "bad", f"{one.path}: {one.reason}", "it is never run; correct it on a branch")
    yield from _telemetry(job.git, job.settings, remote, try_refs)
    if job.classifier is None:
        yield Check(
            "model", "skip", "none set up: rules judge, patterns repair", "set model.base_url and its key to have one"
        )
    else:
        yield Check(
            "model",
            "ok",
            f"{job.settings.model.small} judges, {job.settings.model.large} writes, at most ${job.settings.model.max_cost_usd:g} a run",
        )
    try:
        gateway = jobs.gateway(job.git, remote, job.settings)
        yield Check("forge", "ok", f"{gateway.url} as {gateway.login or 'an App'}")
    except LearnerError as e:
        yield Check("forge", "bad", e.message, e.hint or "")
        return
    yield from _protection(gateway, job.base)


def _telemetry(git: Git, settings: RepositorySettings, remote: str, try_refs: bool) -> Iterator[Check]:
    from learner.repository import refs

    telemetry = settings.telemetry
    where = telemetry.remote or remote
    if telemetry.remote is None:
        yield Check("telemetry", "warn", "lives in the runbook repository: an executor's key can push there",
                    "beyond a trial, give it a repository of its own: telemetry.remote")  # fmt: skip
    try:
        held = refs.advertised(
            git,
            where,
            f"refs/heads/{telemetry.branch}",
            f"refs/heads/{telemetry.ledger_branch}",
            f"{telemetry.ref_prefix}/inbox/*",
        )
    except LearnerError as e:
        yield Check("telemetry", "bad", e.message, e.hint or "")
        return
    waiting = sum(ref.startswith(f"{telemetry.ref_prefix}/inbox/") for ref in held)
    branches = [name for name in (telemetry.branch, telemetry.ledger_branch) if f"refs/heads/{name}" in held]
    yield Check("telemetry", "ok", f"{waiting} inboxes wait; branches: {', '.join(branches) or 'none yet'}")
    if not try_refs:
        return
    ref, main = f"{telemetry.ref_prefix}/inbox/doctor/doctor", git.resolve(refs.private(remote, "main"))
    try:
        refs.push(git, where, [refs.Update(ref, main, None)])
        refs.push(git, where, [refs.Update(ref, None, main)])
        yield Check("refs", "ok", f"the host takes refs below {telemetry.ref_prefix}")
    except LearnerError as e:
        yield Check("refs", "bad", f"the host does not take {ref}: {e.message}",
                    "set telemetry.ref_prefix to refs/heads/learner-refs, here and on every host")  # fmt: skip


def _protection(gateway: Gateway, branch: str) -> Iterator[Check]:
    """Source: GitHub REST API, "Get branch protection" and "Get rules for a branch"."""
    settings = gateway.look("reading the repository's settings", lambda repo: repo)
    for name, wanted in (("allow_squash_merge", False), ("allow_rebase_merge", False), ("allow_merge_commit", True)):
        held = getattr(settings, name, None) if settings is not None else None
        if held is None:
            yield Check("merging", "skip", f"{name} is not visible to this token")
        elif held is not wanted:
            yield Check("merging", "warn", f"{name} is {'on' if held else 'off'}",
                        "allow merge commits only: a squash carries the learner as its author and is refused by the gate")  # fmt: skip
    found: Any = gateway.look(
        "reading branch protection", lambda repo: repo.get_branch(branch).get_protection().raw_data
    )
    if found is None:
        rules: Any = gateway.look(
            "reading the branch's rules",
            lambda repo: repo.requester.requestJsonAndCheck("GET", f"{repo.url}/rules/branches/{branch}")[1],
        )
        if not rules:
            yield Check("protection", "warn", f"{branch} is unprotected, or this token may not see it",
                        "protect it as docs/setup-github.md says, or run doctor with an administrator's token")  # fmt: skip
            return
        pulls = next((rule.get("parameters", {}) for rule in rules if rule.get("type") == "pull_request"), None)
        found = {"required_pull_request_reviews": None if pulls is None else {
            "required_approving_review_count": pulls.get("required_approving_review_count", 0),
            "dismiss_stale_reviews": pulls.get("dismiss_stale_reviews_on_push"),
            "require_code_owner_reviews": pulls.get("require_code_owner_review"),
            "require_last_push_approval": pulls.get("require_last_push_approval"),
        }, "enforce_admins": {"enabled": True}}  # fmt: skip
    reviews = found.get("required_pull_request_reviews")
    if not reviews:
        yield Check(
            "protection",
            "bad",
            f"{branch} takes commits without a pull request",
            "require pull requests: docs/setup-github.md",
        )
        return
    wants = {
        "required_approving_review_count": "at least one approval",
        "dismiss_stale_reviews": "approvals dismissed when the branch moves",
        "require_code_owner_reviews": "a code owner's review",
        "require_last_push_approval": "an approval by somebody else than the last pusher",
    }
    missing = [words for key, words in wants.items() if not reviews.get(key)]
    if not (found.get("enforce_admins") or {}).get("enabled"):
        missing.append("no bypass for administrators")
    if missing:
        yield Check("protection", "warn", f"{branch} lacks: {'; '.join(missing)}", "docs/setup-github.md")
    else:
        yield Check("protection", "ok", f"{branch} takes only what people reviewed")


def _host(path: Path | None) -> Iterator[Check]:
    from datetime import UTC, datetime

    from learner.errors import Refused
    from learner.executor import gate
    from learner.repository.git import Git
    from learner.settings import host_settings

    try:
        settings = host_settings(path)
    except LearnerError as e:
        yield Check("host", "bad", e.message, e.hint or "")
        return
    yield Check("host", "ok", f"{settings.executor_id} of {settings.client_id}")
    spool = Path(settings.spool)
    writable = os.access(spool if spool.exists() else spool.parent, os.W_OK)
    yield Check(
        "spool", "ok" if writable else "bad", str(spool), "" if writable else "make it writable for the executor's user"
    )
    if not (settings.gate.allowed_signers or settings.gate.gpg_home):
        yield Check(
            "gate",
            "warn",
            "no signers are pinned: main is trusted as fetched",
            "`learner gate trust github.com`, or your team's keys",
        )
    git = Git(Path(settings.repository))
    tip = (
        git.resolve(f"refs/remotes/{settings.gate.remote}/{settings.gate.branch}")
        if Path(settings.repository).is_dir()
        else None
    )
    if tip is None:
        yield Check(
            "gate",
            "bad",
            f"{settings.repository} is no clone with {settings.gate.remote}/{settings.gate.branch}",
            "clone the runbook repository there",
        )
        return
    for name in sorted(git.listing(tip, "runbooks/")):
        if not name.endswith(".yaml") or name.startswith("runbooks/patterns/"):
            continue
        try:
            gate.check(git, settings.gate, Path(name).stem, datetime.now(UTC))
        except Refused as e:
            yield Check("gate", "bad", e.message, e.hint or "")
