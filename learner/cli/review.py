"""`learner review`: for people, with their own token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from learner.cli import job as jobs
from learner.console import document, out

if TYPE_CHECKING:
    from learner.forge.gateway import Pull
    from learner.forge.person import Person


@click.group()
@jobs.repository_options
@click.pass_context
def command(ctx: click.Context, repo: Path, remote: str) -> None:
    """Read, approve, send back or reject proposals.

    Uses your own token (LEARNER_TOKEN) and refuses a bot's: what a machine wrote, a person decides.
    """
    ctx.obj = (repo, remote)


def _person(ctx: click.Context) -> Person:
    from learner.forge.person import Person

    repo, remote = ctx.obj
    git = jobs.open_repository(repo)
    return Person(jobs.gateway(git, remote, jobs.repository_settings(git, remote)))


def _row(pull: Pull) -> dict[str, Any]:
    from learner.forge.marks import revealed

    held = revealed(pull.body) or {}
    return {
        "number": pull.number, "title": pull.title, "state": pull.state, "url": pull.url, "labels": list(pull.labels),
        "created_at": pull.created_at.isoformat(), "replay": held.get("replay", {}).get("verdict"),
        "findings": [f.get("level") for f in held.get("findings", ())],
    }  # fmt: skip


@command.command("list")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Open proposals, the most urgent first."""
    from datetime import UTC, datetime

    from rich.markup import escape
    from rich.table import Table

    rows = [_row(pull) for pull in _person(ctx).waiting()]
    if as_json:
        document(rows)
        return
    if not rows:
        out().print("nothing waits for a review")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("#", "proposal", "priority", "waits", "replay", "findings"):
        table.add_column(column)
    for row in rows:
        hours = (datetime.now(UTC) - datetime.fromisoformat(row["created_at"])).total_seconds() / 3600
        priority = next((x.partition(":")[2] for x in row["labels"] if x.startswith("priority:")), "")
        table.add_row(
            str(row["number"]),
            escape(row["title"]),
            priority,
            f"{hours:.0f} h",
            row["replay"] or "",
            ", ".join(row["findings"]) or "none",
        )
    out().print(table)


@command.command()
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def show(ctx: click.Context, number: int, as_json: bool) -> None:
    """One proposal: its page and its diff."""
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    pull = _person(ctx).pull(number)
    patches = [file.patch or "" for file in pull.raw.get_files()]
    if as_json:
        document(_row(pull) | {"body": pull.body, "diff": patches})
        return
    visible = "\n".join(line for line in pull.body.splitlines() if not line.startswith("<!--"))
    out().print(Markdown(f"# {pull.title}\n\n{visible}"))
    for patch in patches:
        out().print(Syntax(patch, "diff", background_color="default"))
    out().print(pull.url)


@command.command()
@click.argument("number", type=int)
@click.option("-m", "--message", default="", help="A word with the approval.")
@click.option("--merge", is_flag=True, help="Merge it too: executors run it from their next fetch on.")
@click.pass_context
def approve(ctx: click.Context, number: int, message: str, merge: bool) -> None:
    """Approve a proposal, as you."""
    person = _person(ctx)
    pull = person.pull(number)
    person.approve(pull, message)
    out().print(f"#{number} approved by {person.login}")
    if merge:
        out().print(f"merged as {person.merge(pull)[:10]}")


@command.command("request-changes")
@click.argument("number", type=int)
@click.option("-m", "--message", required=True, help="What should be different; the learner answers it.")
@click.pass_context
def request_changes(ctx: click.Context, number: int, message: str) -> None:
    """Send a proposal back with words; the learner revises it."""
    person = _person(ctx)
    person.request_changes(person.pull(number), message)
    out().print(f"#{number} sent back")


@command.command()
@click.argument("number", type=int)
@click.option(
    "--reason",
    default="other",
    show_default=True,
    type=click.Choice(["wrong", "duplicate", "dangerous", "not-worth-it", "other"]),
)
@click.option("-m", "--message", default="", help="Why; it goes into the next attempt.")
@click.pass_context
def reject(ctx: click.Context, number: int, reason: str, message: str) -> None:
    """Close a proposal so that it stays closed."""
    person = _person(ctx)
    person.reject(person.pull(number), reason, message)
    out().print(f"#{number} rejected: {reason}. The label learner:revive brings it back.")


@command.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def stats(ctx: click.Context, as_json: bool) -> None:
    """The queue, and what was decided."""
    from learner.forge.marks import PREFIX

    person = _person(ctx)
    pulls = person._gateway.pulls(PREFIX)
    counts = {state: sum(pull.state == state for pull in pulls) for state in ("open", "merged", "closed")}
    urgent = sum(pull.state == "open" and "priority:high" in pull.labels for pull in pulls)
    found = {**counts, "high_priority_waiting": urgent}
    if as_json:
        document(found)
    else:
        out().print(
            f"{counts['open']} wait ({urgent} of high priority), {counts['merged']} merged, {counts['closed']} closed"
        )
