"""The machine's part of a pull request: one hidden line at the head of its body, and the labels."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from learner.models.follow_up import FollowUp, Kind
from learner.models.records import Proposal

PREFIX = "learner/"
LABELS = ("learner", "runbook-improvement")
REVIVE = "learner:revive"
REJECTED = "rejected:"
_ANSWER = re.compile(r"<!-- learner:answer-(?P<review>[0-9]{1,18}) -->")
_HIDDEN = re.compile(r"\A<!-- learner:proposal (?P<json>\{.*\}) -->\s*$", re.MULTILINE)


def hidden(proposal: Proposal) -> str:
    """The hidden line: everything a page or a later run wants to know without reading prose."""
    return _line({
        "kind": "improvement",
        "runbook_id": proposal.runbook_id,
        "from_version": proposal.from_version,
        "version": proposal.from_version + 1,
        "signature": proposal.cluster.signature,
        "fingerprint": proposal.fingerprint,
        "failure_type": proposal.verdict.failure_type,
        "priority": proposal.priority,
        "failures": proposal.cluster.failures,
        "executions": list(proposal.cluster.evidence),
        "findings": [finding.model_dump(mode="json") for finding in proposal.findings],
        "capabilities": proposal.capabilities.model_dump(mode="json"),
        "replay": proposal.replay.model_dump(mode="json"),
        "proposer": proposal.proposer,
        "usage": proposal.usage.model_dump(mode="json"),
    })  # fmt: skip


def hidden_follow_up(up: FollowUp) -> str:
    """The same of what follows from merged versions and from success; a pattern proposes no version."""
    versions = (
        {"of_version": up.version} if up.kind == "pattern" else {"from_version": up.version - 1, "version": up.version}
    )
    return _line({
        "kind": up.kind,
        "runbook_id": up.runbook_id,
        **versions,
        "signature": up.signature,
        "fingerprint": up.fingerprint,
        "priority": up.priority,
        "executions": list(up.evidence),
        "findings": [finding.model_dump(mode="json") for finding in up.findings],
        "capabilities": up.capabilities.model_dump(mode="json"),
        "replay": up.replay.model_dump(mode="json") if up.replay else None,
        "proposer": up.kind,
    })  # fmt: skip


def _line(held: Mapping[str, Any]) -> str:
    text = json.dumps(held, ensure_ascii=True, separators=(",", ":"))
    # Inside a comment nothing may look like its end, nor like a mention, an issue or a tag.
    for mark in ("--", "@", "#", "<", ">"):
        text = text.replace(mark, "".join(f"\\u{ord(letter):04x}" for letter in mark))
    return f"<!-- learner:proposal {text} -->"


def revealed(body: str) -> dict[str, Any] | None:
    """What the hidden line says; None when there is none or it is broken."""
    match = _HIDDEN.match(body.replace("\r\n", "\n"))
    if not match:
        return None
    try:
        held = json.loads(match["json"])
    except ValueError:
        return None
    return held if isinstance(held, dict) else None


def answer_mark(review_id: int) -> str:
    """What a comment that answers a review is known by."""
    return f"answer-{review_id}"


def answers(comment: str) -> int | None:
    """The review that a comment of the learner's answers; None when it answers none."""
    match = _ANSWER.match(comment)
    return int(match["review"]) if match else None


def labels(proposal: Proposal) -> tuple[str, ...]:
    """The labels of a proposal's pull request."""
    return (*LABELS, f"priority:{proposal.priority}", f"failure:{proposal.verdict.failure_type.value}")


KINDS: Mapping[Kind, str] = {"revert": "revert", "pattern": "repair-pattern", "optimisation": "optimisation"}
"""The label of each kind of pull request that follows from merged versions."""


def labels_of_follow_up(up: FollowUp) -> tuple[str, ...]:
    """The labels of another pull request of the learner's; one of `KINDS` is among them."""
    new_version = () if up.kind == "pattern" else LABELS[1:]
    return (LABELS[0], *new_version, KINDS[up.kind], f"priority:{up.priority}")
