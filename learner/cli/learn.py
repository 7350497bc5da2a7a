"""`learner learn`: fold, plan and apply; and the same on plain folders, changing nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from learner.cli import job as jobs
from learner.console import document, out, tell

if TYPE_CHECKING:
    from learner.models import Decision, FollowUp, SkippedFile, Usage
    from learner.runbook_file import RunbookFile


@click.command()
@jobs.repository_options
@jobs.model_options
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing, anywhere.")
@click.option(
    "--runbooks",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of runbooks; with --telemetry, no Git and no forge is needed.",
)
@click.option(
    "--telemetry",
    "telemetry_path",
    type=click.Path(path_type=Path, exists=True),
    help="A folder of results, or a .jsonl file.",
)
@click.option(
    "--min-failures", type=click.IntRange(1), help="Failures before a proposal, on plain folders.  [default: 1]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    repo: Path, remote: str, record: Path | None, replay: Path | None, candidates: int, dry_run: bool, runbooks: Path | None,
    telemetry_path: Path | None, min_failures: int | None, as_json: bool,
) -> int:  # fmt: skip
    """Read what is new, work out why runs failed, and open one pull request per improved runbook.

    Safe to run again and again, and after a crash: a second run right after changes nothing, and while nothing
    changes further runs take no longer than asking. Nothing it proposes runs anywhere before a person has merged it.

    Without Git: learner learn --dry-run --json --runbooks runbooks/ --telemetry results.jsonl
    """
    if (runbooks is None) != (telemetry_path is None):
        raise click.UsageError("--runbooks and --telemetry go together")
    if runbooks is not None and telemetry_path is not None:
        if not dry_run:
            raise click.UsageError("plain folders have nowhere to publish to: add --dry-run")
        decisions, skipped, unverified, usage = _plain(
            runbooks, telemetry_path, record, replay, candidates, min_failures
        )
        return _show(decisions, skipped, unverified, usage, as_json)
    from learner.cli import quiet

    options = {"remote": remote, "candidates": candidates}
    # with kept exchanges the answers of a model are part of the question, so those runs are always whole
    noted = not (dry_run or record or replay)
    now = datetime.now(UTC)
    if noted and (said := quiet.unchanged(repo, options, now)) is not None:
        if as_json:
            document(said)
        else:
            click.echo("nothing has changed: nothing to do")
        return 0
    from learner import pipeline

    job = jobs.build(repo, remote, record=record, replay=replay, candidates=candidates)
    if dry_run:
        planned = pipeline.plan(job)
        return _show(planned.decisions, planned.skipped, planned.unverified, planned.usage, as_json, planned.follow_ups)
    asked = quiet.question(job) if noted else None
    before = quiet.answers(repo, asked) if asked else None
    learned = pipeline.learn(job)
    planned = learned.plan
    told = _document(planned.decisions, learned.skipped, planned.unverified, planned.usage, planned.follow_ups) | {
        "published": [vars(p) for p in learned.published], "did_nothing": learned.did_nothing,
    }  # fmt: skip
    quiet.keep(repo, options, job, before, learned, told)
    if as_json:
        document(told)
        return 3 if learned.skipped else 0
    show_learned(learned)
    return 3 if learned.skipped else 0


def show_learned(learned: Any) -> None:
    """What a run did, for people."""
    if learned.folded and learned.folded.results:
        out().print(f"{learned.folded.results} new results")
    show_decisions(learned.plan.decisions)
    show_follow_ups(learned.plan.follow_ups)
    for published in learned.published:
        if published.action in ("opened", "revised", "answered", "updated", "closed"):
            out().print(
                f"[green]{published.action}[/green] #{published.number} {published.runbook_ref} {published.url or ''}"
            )
        elif published.action == "left":
            out().print(f"[yellow]left alone[/yellow] {published.runbook_ref}: {published.reason}")
    if learned.did_nothing:
        out().print("nothing to do")
    jobs.say_skipped(learned.skipped)


def show_follow_ups(follow_ups: Any) -> None:
    """A line for everything that follows from merged versions and from success."""
    from rich.markup import escape

    words = {"revert": "way back", "pattern": "repair pattern", "optimisation": "optimisation"}
    colours = {"proposed": "green", "deferred": "yellow", "refused": "red", "reported": "dim"}
    for up in follow_ups:
        why = up.summary if up.outcome == "proposed" else up.reason
        out().print(f"{words[up.kind]} {up.ref} [{colours[up.outcome]}]{up.outcome}[/] {escape(why[:200])}")


def show_decisions(decisions: Any) -> None:
    """A table of what becomes of every open cluster; near-equal ones share a row, which speaks of the one that is
    proposed for, else of the largest."""
    if not decisions:
        return
    from rich.markup import escape
    from rich.table import Table

    colours = {
        "proposed": "green",
        "rejected": "red",
        "deferred": "yellow",
        "no_proposal": "yellow",
        "not_improvable": "magenta",
    }
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("runbook", no_wrap=True)
    table.add_column("failed", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("why", overflow="fold")
    groups: dict[tuple[str, str], list[Decision]] = {}
    for decision in sorted(decisions, key=lambda d: (-d.cluster.failures, d.cluster.key)):
        joined = decision.cluster.joined
        form = (decision.cluster.runbook_ref, joined.first if joined else decision.cluster.signature)
        groups.setdefault(form, []).append(decision)
    for group in groups.values():
        decision = min(group, key=lambda d: d.outcome != "proposed")
        cluster = decision.cluster
        why = f"[dim]{decision.verdict.failure_type.value.replace('_', ' ')}[/dim]"
        if decision.outcome != "not_improvable":
            why += f" {escape(decision.reason[:200])}"
        failed = f"{cluster.failures} on {cluster.hosts} host{'' if cluster.hosts == 1 else 's'}"
        if cluster.joined:
            failed = f"{cluster.joined.failures} in {cluster.joined.forms} near-equal forms"
        table.add_row(
            cluster.runbook_ref,
            failed,
            f"[{colours[decision.outcome]}]{decision.outcome.replace('_', ' ')}[/]",
            why,
        )
    out().print(table)


def _show(
    decisions: tuple[Decision, ...],
    skipped: tuple[SkippedFile, ...],
    unverified: tuple[str, ...],
    usage: Usage,
    as_json: bool,
    follow_ups: tuple[FollowUp, ...] = (),
) -> int:
    if as_json:
        document(_document(decisions, skipped, unverified, usage, follow_ups))
    else:
        show_decisions(decisions)
        show_follow_ups(follow_ups)
        if not (decisions or follow_ups):
            out().print("nothing to do")
        for ref in unverified:
            out().print(f"[yellow]{ref} is mostly unverified[/yellow]: give it a verification that can judge")
        jobs.say_skipped(skipped)
    return 3 if skipped else 0


def _document(
    decisions: Any, skipped: Any, unverified: tuple[str, ...], usage: Usage, follow_ups: Any = ()
) -> dict[str, Any]:
    return {
        "clusters": [_decision(decision) for decision in decisions],
        "skipped": [one.model_dump() for one in skipped],
        "unverified": list(unverified),
        "usage": usage.model_dump(),
        "follow_ups": [up.model_dump(mode="json", exclude_none=True) for up in follow_ups],
    }


def _decision(decision: Decision) -> dict[str, Any]:
    cluster, verdict, proposal = decision.cluster, decision.verdict, decision.proposal
    return {
        "runbook_id": cluster.runbook_id,
        "runbook_version": cluster.runbook_version,
        "signature": cluster.signature,
        "title": cluster.title,
        "failures": cluster.failures,
        "near_equal": [one.model_dump() for one in cluster.joined.others] if cluster.joined else [],
        "execution_ids": list(cluster.evidence),
        "failure_type": verdict.failure_type.value,
        "confidence": verdict.confidence,
        "decided_by": verdict.decided_by,
        "reasoning": verdict.reasoning,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "proposer": proposal.proposer if proposal else None,
        "edit": proposal.edit.model_dump(mode="json", exclude_none=True) if proposal else None,
        "new_version": proposal.new_version if proposal else None,
        "findings": [finding.model_dump(mode="json") for finding in decision.findings],
        "replay": decision.replay.model_dump(mode="json") if decision.replay else None,
    }


def _plain(
    runbooks: Path,
    telemetry_path: Path,
    record: Path | None,
    replay: Path | None,
    candidates: int,
    min_failures: int | None,
) -> Any:
    from learner import pipeline
    from learner.decide import Scene, decide
    from learner.models import Memory, SkippedFile, Usage
    from learner.runbook_file import InvalidRunbook, read
    from learner.settings import LimitSettings, RepositorySettings
    from learner.telemetry import collect

    # Nobody's queue is filled here: limits that keep pull requests few would only hide what was found.
    limits = LimitSettings(open_pull_requests=10**6, per_run=10**6, min_failures=min_failures or 1, cooldown_hours=0)
    settings = RepositorySettings(limits=limits)
    files: dict[str, RunbookFile] = {}
    broken = []
    for path in sorted(runbooks.rglob("*.yaml")):
        if "patterns" in path.relative_to(runbooks).parts:
            continue
        try:
            file = read(path)
        except InvalidRunbook as e:
            broken.append(SkippedFile(path=str(path), reason=str(e.problems[0])))
            continue
        held = files.get(file.runbook.id)
        if held is None or held.runbook.version < file.runbook.version:
            files[file.runbook.id] = file
    client = jobs.model_client(settings, record, replay)
    collected = collect.from_folder(telemetry_path, pipeline.FOLDS)
    decisions = decide(
        Scene(
            runbooks=files,
            state=collected.state,
            load=lambda ids: collect.results_from_folder(telemetry_path, ids),
            memory=Memory(),
            settings=settings,
            proposers=jobs.proposers(client, runbooks / "patterns"),
            now=datetime.now(UTC),
            classifier=client,
            candidates=candidates,
            tell=tell,
        )
    )
    usage = sum((decision.usage for decision in decisions), Usage())
    return decisions, (*collected.skipped, *broken), pipeline.mostly_unverified(collected.state), usage
