"""The pull request's page: all a reviewer with two minutes needs to decide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from learner.forge.escape import block, cell, code, plain, prose
from learner.forge.flowchart import chart
from learner.forge.marks import REVIVE, hidden
from learner.models.execution import ExecutionResult
from learner.models.records import Level, Operation, Proposal
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
    runs = proposal.cluster.failures
    return "\n".join(
        [
            title(proposal),
            "",
            plain(" ".join(proposal.edit.root_cause.split()), 600),
            "",
            f"Made from {runs} failed {_runs(runs)} of {proposal.cluster.runbook_ref} by {plain(proposal.proposer, 80)}.",
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
        _capabilities(proposal),
        _failed(proposal, evidence),
        _changes(proposal, old, new, links),
        _findings(proposal),
        _replay(proposal, links),
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


class Links:
    """Where the evidence can be read."""

    def __init__(self, base: str | None, branch: str, paths: Mapping[str, str] | None = None) -> None:
        self._base = base
        self._branch = branch
        self._paths = dict(paths or {})

    def of(self, citation: str) -> str:
        """A citation as a link to its result, or as code when there is no page for it."""
        execution = citation.partition("#")[0]
        path = self._paths.get(execution)
        if not self._base or not path:
            return code(citation)
        return f"[{code(citation)}]({self._base}/blob/{self._branch}/{path})"


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


def _head(proposal: Proposal) -> str:
    cluster = proposal.cluster
    worst = max((finding.level for finding in proposal.findings), key=lambda level: level.rank, default=Level.INFO)
    many = f"**{cluster.failures} {_runs(cluster.failures)}** of {cluster.runbook_ref} failed on {_count(cluster.hosts, 'host')}"
    if cluster.clients > 1:
        many += f" at {_count(cluster.clients, 'client')}"
    since = f"{cluster.first_seen:%Y-%m-%d %H:%M} UTC"
    when = f"since {since}" if cluster.failures > 1 else f"on {since}"
    alert = "WARNING" if proposal.capabilities.added and worst.rank < Level.WARNING.rank else _ALERT[worst]
    return "\n".join(
        [
            f"> [!{'IMPORTANT' if alert == 'NOTE' else alert}]",
            f"> {many} {when}. {_sentence(proposal.edit.summary, 200)}",
            ">",
            f"> **Replay:** {_REPLAY[proposal.replay.verdict]}.",
            ">",
            f"> **Risk:** {_sentence(proposal.edit.risk, 300)}",
            ">",
            "> Nothing of this runs anywhere before you merge it.",
        ]
    )


def _sentence(text: str, most: int) -> str:
    """`text` with a capital at its start and a full stop at its end."""
    words = prose(text, most)
    return (words[:1].upper() + words[1:]).rstrip(".") + "." if words else words


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _capabilities(proposal: Proposal) -> str:
    diff = proposal.capabilities
    lines = ["## What it may touch that it could not before", ""]
    if not diff.added and not diff.widened:
        lines.append("Nothing new: the same services, paths, commands, hosts and privileges as its parent.")
    lines += [f"- **new** {code(item)}" for item in diff.added]
    lines += [f"- **wider** {code(item)}" for item in diff.widened]
    lines += [f"- no longer {code(item)}" for item in diff.removed]
    return "\n".join(lines)


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
            f"| how often | {_count(cluster.failures, 'failure')}, {_count(cluster.hosts, 'host')}, "
            f"{_count(cluster.clients, 'client')} ({clients or '–'}) |",
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


def _changes(proposal: Proposal, old: Runbook, new: Runbook, links: Links) -> str:
    lines = ["## What changes, and why", "", "| change | because |", "|---|---|"]
    for operation in proposal.edit.operations:
        because = " ".join(links.of(citation) for citation in operation.because[:4])
        more = f" and {len(operation.because) - 4} more" if len(operation.because) > 4 else ""
        lines.append(f"| {_described(operation)} | {because}{more} |")
    lines += [
        "",
        "```mermaid",
        chart(old, new),
        "```",
        "",
        "Green is new, yellow is changed. The diff is under *Files changed*.",
    ]
    return "\n".join(lines)


def _described(operation: Operation) -> str:
    held: dict[str, Any] = operation.model_dump(mode="json", exclude={"op", "because"}, exclude_none=True)
    words = {
        "insert_step": "insert the step {step}",
        "replace_step": "replace the step {step_id} by {step}",
        "remove_step": "remove the step {step_id}",
        "move_step": "move the step {step_id}",
        "set_parameter": "in {step_id} set {name} to {value}",
        "set_when": "run {step_id} only when {when}",
        "set_retry": "try {step_id} again: {retry}",
        "set_timeout": "give {step_id} {timeout_seconds} s",
        "set_on_failure": "when {step_id} fails: {on_failure}",
        "add_parameter": "add the parameter {name}",
        "add_verification": "verify also {verification}",
        "set_verification": "verify {verification_id} by {verification}",
        "add_rollback_step": "add to the rollback {step}",
        "set_precondition": "run at all only when {expression}",
    }[operation.op]
    shown = {key: code(value if isinstance(value, str) else _step(value)) for key, value in held.items()}
    text = words.format_map(_Missing(shown))
    for side in ("before", "after"):
        if held.get(side):
            text += f" {side} {shown[side]}"
    return text


class _Missing(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "`nothing`"


def _step(value: Any) -> str:
    if isinstance(value, dict) and "id" in value:
        what = value.get("action") or value.get("check") or ""
        params = json.dumps(value.get("params", {}), ensure_ascii=False)
        return f"{value['id']}: {what} {params}"
    return json.dumps(value, ensure_ascii=False)


def _findings(proposal: Proposal) -> str:
    if not proposal.findings:
        return "## Findings\n\nNone: every audit passed."
    lines = ["## Findings", "", "| level | rule | what | where |", "|---|---|---|---|"]
    lines += [
        f"| **{finding.level.value}** | {code(finding.rule)} | {cell(finding.message)} | {code(finding.where)} |"
        for finding in sorted(proposal.findings, key=lambda finding: -finding.level.rank)
    ]
    return "\n".join(lines)


def _replay(proposal: Proposal, links: Links) -> str:
    replay = proposal.replay
    lines = ["## Replay", "", f"**{replay.verdict}**: {prose(replay.summary)}"]
    if replay.runs:
        shares = (
            f"{replay.recorded:.0%} recorded, {replay.implied:.0%} implied by effects, {replay.assumed:.0%} assumed"
        )
        lines += ["", f"It rests on outcomes that were {shares}.", "", "| run | was | becomes | |", "|---|---|---|---|"]
        for run in replay.runs[:10]:
            becomes = run.becomes.replace("_", " ")
            lines.append(f"| {links.of(run.execution_id)} | {run.was} | {becomes} | {cell(run.reason)} |")
    return "\n".join(lines)


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
    without = ", without a model" if proposal.proposer.startswith("patterns/") else ""
    lines = ["## How it was made", "", f"By {code(proposal.proposer)}{without}."]
    if usage.model_calls:
        lines.append(
            f"{_count(usage.model_calls, 'model call')}, {usage.input_tokens} + {usage.output_tokens} tokens, "
            f"about ${usage.cost_usd:.4f}."
        )
    lines += [_sentence(note, 500) for note in proposal.notes]
    lines.append(f"Signature {code(proposal.cluster.signature)}, fingerprint {code(proposal.fingerprint[:16])}.")
    return "\n".join(lines)


def _decide(proposal: Proposal) -> str:
    return "\n".join(
        [
            "## How to decide",
            "",
            "- **Merge** (with a merge commit) and executors run this version from their next fetch on.",
            "- **Request changes**, with words on the lines: the learner revises and answers.",
            "- **Commit** to this branch yourself: the learner then keeps off it.",
            "- **Close** it, with a reason as a comment: this fix is then not proposed again for this failure, "
            f"until somebody adds the label `{REVIVE}`. A label such as `rejected:wrong` or `rejected:dangerous` counts in the report.",
        ]
    )
