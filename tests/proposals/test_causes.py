"""Causes that patterns were not written from: what is proposed for each is good, and nothing for what only looks alike."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from learner.decide import check
from learner.models import FailureType, Proposal
from learner.proposals.brief import Brief, Draft
from learner.proposals.patterns import Pattern, PatternProposer, builtin
from learner.proposals.patterns.phrases import PHRASES
from learner.yaml_tree import load
from tests.proposals.examples import brief_of, failure_of, parent_of

CASES: list[dict[str, Any]] = [
    case
    for name in ("causes.yaml", "incidents.yaml", "hindsight.yaml")
    for case in cast("Any", load(Path(__file__).with_name(name).read_bytes()).value)
]
EACH = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def brief(case: dict[str, Any], failures: int = 2) -> Brief:
    """The case as a brief: the same failure on two hosts."""
    platform = case.get("platform", "linux")
    example = SimpleNamespace(runbook={"platform": platform, **case["runbook"]}, failure=case["failure"])
    pattern = cast("Pattern", SimpleNamespace(example=example))
    parent = parent_of(pattern)
    kind = FailureType(case["failure"].get("kind", "runbook_insufficient"))
    return brief_of(parent, *(failure_of(pattern, parent, n + 1) for n in range(failures)), kind=kind)


def proposal(case: dict[str, Any]) -> tuple[Proposal | None, str]:
    """The first proposal for the case that passes every check; else None and why there is none."""
    about = brief(case)
    answer = PatternProposer(builtin()).propose(about)
    if not isinstance(answer, Draft):
        return None, answer.reason
    checked = check(answer, about)
    return checked.proposal, f"{answer.proposer}: {'; '.join(checked.reasons)}"


def holds(wanted: Any, found: Any) -> bool:
    """Whether all of `wanted` is in `found`; lists are compared whole."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and holds(value, found[key]) for key, value in wanted.items()
        )
    return bool(wanted == found)


@EACH
def test_what_is_proposed_is_good(case: dict[str, Any]) -> None:
    made, why = proposal(case)
    if "good" not in case:
        assert made is None, made and made.edit.summary
        return
    assert made is not None, why
    operations = json.loads(made.edit.model_dump_json())["operations"]
    for wanted in case["good"]:
        assert any(holds(wanted, operation) for operation in operations), (made.proposer, operations)


def test_every_cause_has_words_that_a_pattern_uses() -> None:
    assert {cause for pattern in builtin() for cause in pattern.match.says} == set(PHRASES)
