"""The verdict on one cluster: rules first, then the small model, and `unknown` on any doubt."""

from __future__ import annotations

from collections.abc import Mapping

from learner.model_client import ModelClient
from learner.models.records import FailureCluster, Usage, Verdict
from learner.triage.question import ask
from learner.triage.rules import Case, judge, undecided

PROMPT_VERSION = 1
"""Raised when `question` changes its meaning: answers kept from before are not used then."""


def cache_key(cluster: FailureCluster) -> str:
    """Under what a model's verdict on a cluster is kept: its key and the version of the question."""
    return f"{cluster.key}@{PROMPT_VERSION}"


def cacheable(verdict: Verdict) -> bool:
    """Whether a verdict is worth keeping: a model's answer. Rules are free, and silence may pass."""
    return verdict.decided_by.startswith("model:")


def classify(case: Case, model: ModelClient | None, cached: Mapping[str, Verdict]) -> tuple[Verdict, Usage]:
    """Why the cluster failed, and what asking cost.

    Rules decide when one is sure. Else the verdict kept under `cache_key`, else one question to the small model. With
    no model, no answer, a refusal, nonsense or doubt it is `unknown`, decided by `none` when nobody answered.
    """
    if (verdict := judge(case)) is not None:
        return verdict, Usage()
    kept = cached.get(cache_key(case.cluster))
    if kept is not None:
        return kept, Usage()
    if model is None:
        return undecided(case, "no model is set up"), Usage()
    return ask(case, model)
