"""The parts that pages of pull requests share: reach, changes, findings, replay, and links to the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from learner.forge.escape import cell, code, prose
from learner.forge.flowchart import chart
from learner.models.records import CapabilityDiff, Finding, Operation, Replay
from learner.models.runbook import Runbook


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


def runs(count: int) -> str:
    """`run` or `runs`."""
    return "run" if count == 1 else "runs"


def sentence(text: str, most: int) -> str:
    """`text` with a capital at its start and a full stop at its end."""
    words = prose(text, most)
    return (words[:1].upper() + words[1:]).rstrip(".") + "." if words else words


def count(number: int, word: str) -> str:
    """`1 host`, `3 hosts`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def reach(diff: CapabilityDiff) -> str:
    """What the new version touches and the one before did not."""
    lines = ["## What it may touch that it could not before", ""]
    if not diff.added and not diff.widened:
        lines.append("Nothing new: the same services, paths, commands, hosts and privileges as its parent.")
    lines += [f"- **new** {code(item)}" for item in diff.added]
    lines += [f"- **wider** {code(item)}" for item in diff.widened]
    lines += [f"- no longer {code(item)}" for item in diff.removed]
    return "\n".join(lines)


def changes(operations: Sequence[Operation], old: Runbook, new: Runbook, links: Links) -> str:
    """Every change with its evidence, and the new flow."""
    lines = ["## What changes, and why", "", "| change | because |", "|---|---|"]
    for operation in operations:
        because = " ".join(links.of(citation) for citation in operation.because[:4])
        more = f" and {len(operation.because) - 4} more" if len(operation.because) > 4 else ""
        lines.append(f"| {described(operation)} | {because}{more} |")
    return "\n".join([*lines, "", flow(old, new)])


def flow(old: Runbook, new: Runbook) -> str:
    """The new version's flow as a chart, what is new in it marked."""
    legend = "Green is new, yellow is changed or moved. The diff is under *Files changed*."
    return "\n".join(["```mermaid", chart(old, new), "```", "", legend])


def described(operation: Operation) -> str:
    """One change, for a table's cell."""
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


def findings_table(findings: Sequence[Finding]) -> str:
    """What the audits noticed, the gravest first."""
    if not findings:
        return "## Findings\n\nNone: every audit passed."
    lines = ["## Findings", "", "| level | rule | what | where |", "|---|---|---|---|"]
    lines += [
        f"| **{finding.level.value}** | {code(finding.rule)} | {cell(finding.message)} | {code(finding.where)} |"
        for finding in sorted(findings, key=lambda finding: -finding.level.rank)
    ]
    return "\n".join(lines)


def replayed(replay: Replay, links: Links) -> str:
    """What becomes of the recorded runs."""
    verdict = "no failure to fix" if replay.verdict == "none" and replay.runs else replay.verdict
    lines = ["## Replay", "", f"**{verdict}**: {prose(replay.summary)}"]
    if replay.runs:
        shares = (
            f"{replay.recorded:.0%} recorded, {replay.implied:.0%} implied by effects, {replay.assumed:.0%} assumed"
        )
        lines += [
            "",
            f"It rests on outcomes that were {shares}.",
            "",
            "| run | was | becomes | since |",
            "|---|---|---|---|",
        ]
        for run in replay.runs[:10]:
            becomes = run.becomes.replace("_", " ")
            lines.append(f"| {links.of(run.execution_id)} | {run.was} | {becomes} | {cell(run.reason)} |")
    return "\n".join(lines)
