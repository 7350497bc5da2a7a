"""The pull request's page: all a reviewer with two minutes needs to decide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from learner.forge.escape import block, cell, code, plain, prose
from learner.forge.marks import REVIVE, hidden
from learner.forge.page_parts import Links, changes, count, findings_table, reach, replayed, runs, sentence
from learner.models.execution import ExecutionResult
from learner.models.records import Level, Proposal
from learner.models.runbook import Runbook

LONGEST = 60_000
"""Characters of a body; GitHub takes 65,536."""
_ALERT = {Level.WARNING: "WARNING", Level.NOTICE: "NOTE", Level.INFO: "NOTE", Level.BLOCK: "CAUTION"}
_REPLAY = {
    "fixed": "the recorded failures would be fixed",
    "plausible": "the recorded failures may be fixed; what decides it was never recorded",
    "none": "there was nothing to replay",
    "unchanged": "the failing attempt comes round unchanged",
    "breaks": "a recorded success would now fail",
}


def title(proposal: Proposal) -> str:
    """`RB-LIN-SERVICE-001 v2: …`."""
    return f"{proposal.runbook_id} v{proposal.from_version + 1}: {plain(proposal.edit.summary, 120)}"


def commit_message(proposal: Proposal) -> str:
    """The commit's message: what changes, why, by whose word."""
    failures = proposal.cluster.failures
    return "\n".join(
        [
            title(proposal),
            "",
            plain(" ".join(proposal.edit.root_cause.split()), 600),
            "",
            f"Made from {failures} failed {runs(failures)} of {proposal.cluster.runbook_ref} by {plain(proposal.proposer, 80)}.",
            "It runs nowhere before a person has merged it.",
            "",
        ]
    )


def body(proposal: Proposal, old: Runbook, new: Runbook, results: Mapping[str, ExecutionResult], links: Links) -> str:
    """The body in GitHub-flavoured Markdown. `results` are those of the cluster's evidence that could be read."""
    evidence = [results[i] for i in proposal.cluster.evidence if i in results]
    parts = [
        hidden(proposal),
        _head(proposal),
        reach(proposal.capabilities),
        _failed(proposal, evidence),
        changes(proposal.edit.operations, old, new, links),
        findings_table(proposal.findings),
        replayed(proposal.replay, links),
        _contrast(proposal),
        _evidence(proposal, evidence, links),
        _made(proposal),
        _decide(proposal),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    if len(text) > LONGEST:  # what is cut is evidence, which stands on the telemetry branch as well
        parts[8] = "_The evidence is too long for this page; it stands on the telemetry branch._"
        text = "\n\n".join(part for part in parts if part) + "\n"
    return text


def _head(proposal: Proposal) -> str:
    cluster = proposal.cluster
    worst = max((finding.level for finding in proposal.findings), key=lambda level: level.rank, default=Level.INFO)
    many = f"**{cluster.failures} {runs(cluster.failures)}** of {cluster.runbook_ref} failed on {count(cluster.hosts, 'host')}"
    if cluster.clients > 1:
        many += f" at {count(cluster.clients, 'client')}"
    since = f"{cluster.first_seen:%Y-%m-%d %H:%M} UTC"
    when = f"since {since}" if cluster.failures > 1 else f"on {since}"
    alert = "WARNING" if proposal.capabilities.added and worst.rank < Level.WARNING.rank else _ALERT[worst]
    return "\n".join(
        [
            f"> [!{'IMPORTANT' if alert == 'NOTE' else alert}]",
            f"> {many} {when}.",
            ">",
            f"> **Proposed:** {sentence(proposal.edit.summary, 200)}",
            ">",
            f"> **Replay:** {_REPLAY[proposal.replay.verdict]}.",
            ">",
            f"> **Risk:** {sentence(proposal.edit.risk, 300)}",
            ">",
            "> Nothing of this runs anywhere before you merge it.",
        ]
    )


def _failed(proposal: Proposal, evidence: Sequence[ExecutionResult]) -> str:
    cluster, verdict = proposal.cluster, proposal.verdict
    where = f"step {code(cluster.step_id or '?')} ({code(cluster.action)})" if cluster.action else ""
    where = where or f"verification {code(cluster.check or '?')}"
    clients = ", ".join(f"{code(client)} {count}" for client, count in sorted(cluster.by_client.items())[:8])
    said = next((result.error_message for result in evidence if result.error_message), cluster.title)
    return "\n".join(
        [
            "## What failed",
            "",
            "| | |",
            "|---|---|",
            f"| where | {where} |",
            f"| how often | {count(cluster.failures, 'failure')}, {count(cluster.hosts, 'host')}, "
            f"{count(cluster.clients, 'client')} ({clients or '–'}) |",
            *_near(proposal),
            f"| when | {cluster.first_seen:%Y-%m-%d %H:%M} – {cluster.last_seen:%Y-%m-%d %H:%M} UTC |",
            f"| judged as | `{verdict.failure_type.value}`, confidence {verdict.confidence:.0%}, by {code(verdict.decided_by)} |",
            f"| because | {cell(verdict.reasoning)} |",
            "",
            block(said, most=1500),
            "",
            f"**Root cause.** {prose(proposal.edit.root_cause)}",
            "",
            f"**Expected effect.** {prose(proposal.edit.expected_effect)}",
        ]
    )


def _near(proposal: Proposal) -> list[str]:
    """The row about near-equal signatures: what is shown as one with this failure, and that it was not replayed."""
    joined = proposal.cluster.joined
    if joined is None:
        return []
    forms = "; ".join(f"{code(one.signature)} {one.failures} × {cell(one.title, 120)}" for one in joined.others)
    unnamed = joined.forms - 1 - len(joined.others)
    more = f"; and {unnamed} more" if unnamed else ""
    return [
        f"| near-equal | {count(joined.failures, 'failure')} in {joined.forms} forms are shown as one; evidence and replay "
        f"are of this form alone. The others: {forms}{more} |"
    ]


def _contrast(proposal: Proposal) -> str:
    if not proposal.contrast:
        return ""
    return "\n".join(
        ["## What failures and successes differ in", "", *(f"- {prose(line)}" for line in proposal.contrast[:8])]
    )


def _evidence(proposal: Proposal, evidence: Sequence[ExecutionResult], links: Links) -> str:
    lines = [f"## Evidence ({len(proposal.cluster.evidence)} of {proposal.cluster.failures})"]
    for result in evidence[:5]:
        head = f"{links.of(result.execution_id)} on {code(result.hostname)} for {code(result.client_id)}, {result.started_at:%Y-%m-%d %H:%M:%S} UTC"
        rows = [
            f"| {step.step_number} | {code(step.step_id or step.phase)} | {code(step.action)} | "
            f"{'skipped' if step.skipped else 'done' if step.success else '**failed**'} | {step.duration_seconds or 0:.1f} s |"
            for step in result.executed_steps[:15]
        ]
        changed = [
            f"{path}: {json.dumps(sides.get('before'), ensure_ascii=False)} → {json.dumps(sides.get('after'), ensure_ascii=False)}"
            for path, sides in list((result.state_diff or {}).items())[:12]
        ]
        lines += ["", f"<details><summary>{_summary(result)}</summary>", "", head, ""]
        lines += ["| # | step | action | | took |", "|---|---|---|---|---|", *rows, ""] if rows else []
        lines += [block(result.error_message or "no error message", most=1200), ""]
        lines += ["What changed on the host:", "", block("\n".join(changed), most=1200), ""] if changed else []
        lines.append("</details>")
    rest = [i for i in proposal.cluster.evidence if i not in {result.execution_id for result in evidence[:5]}]
    if rest:
        lines += ["", "Also: " + " ".join(links.of(citation) for citation in rest)]
    return "\n".join(lines)


def _summary(result: ExecutionResult) -> str:
    # Inside <summary> Markdown does not work, so what comes from outside is HTML-escaped here.
    import html

    return (
        f"{html.escape(plain(result.execution_id))} · {html.escape(plain(result.hostname, 80))} · {result.status.value}"
    )


def _made(proposal: Proposal) -> str:
    usage = proposal.usage
    first = [note for note in proposal.notes if note.startswith("made by ")] or [f"made by {proposal.proposer}"]
    lines = ["## How it was made", "", *(sentence(note, 500) for note in first)]
    if usage.model_calls:
        lines.append(
            f"{count(usage.model_calls, 'model call')}, {usage.input_tokens} + {usage.output_tokens} tokens, "
            f"about ${usage.cost_usd:.4f}."
        )
    lines += [sentence(note, 500) for note in proposal.notes if note not in first]
    lines.append(f"Signature {code(proposal.cluster.signature)}, fingerprint {code(proposal.fingerprint[:16])}.")
    return "\n".join(lines)


def _decide(proposal: Proposal) -> str:
    return "\n".join(
        [
            "## How to decide",
            "",
            "- **Merge** (with a merge commit) and executors run this version from their next fetch on.",
            "- **Request changes**, with words on the lines: the learner revises and answers, or says that it can't.",
            "- **Commit** to this branch yourself: the learner then keeps off it.",
            "- **Close** it, with a reason as a comment: this fix is then not proposed again for this failure, "
            f"until somebody adds the label `{REVIVE}`. A label such as `rejected:wrong` or `rejected:dangerous` counts in the report.",
        ]
    )
