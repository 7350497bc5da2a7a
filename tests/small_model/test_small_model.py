"""The whole model path against a real, very small model. It can't judge anything: what counts is that nothing crashes
and nothing gets past the checks."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.repair.cases import all_cases
from benchmarks.repair.measure import Scored, measure
from learner.decide import recheck
from learner.model_client import ModelClient, misfit
from learner.models import ExecutionResult, FailureType
from learner.proposals.openai import ModelProposer
from learner.runbook_file import parse
from learner.settings import ModelSettings, RepositorySettings
from tests.small_model.relay import Manner, feverish, relay, stuttering, wordy

# A connection that the client keeps open is collected after the server has gone.
pytestmark = [pytest.mark.small_model, pytest.mark.filterwarnings("ignore:.*unclosed:ResourceWarning")]

CASES = (
    "service/stale-pid-file",
    "doubt/orders-in-the-output",
    "doubt/two-causes-in-one-breath",
    "permission/sudo-wants-a-password",
)
BAD_REPLIES = ("doubt/two-causes-in-one-breath", "service/stale-pid-file")
"""One that asks for a verdict, one that asks for an edit."""


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip() + "/v1"
    finally:
        server.communicate()  # closes its stdin, which ends it
    assert server.returncode == 0


@dataclass
class Asked:
    """What became of the questions about one case."""

    scored: Scored
    questions: dict[str, str]
    """`classify` and `edit` → `valid` (the first reply was), `repaired` (a later one), `refused` (none)."""
    calls: int
    seconds: float


def ask(base_url: str, name: str, kept: Path) -> Asked:
    """One case through the whole path, every exchange held against its schema, every proposal checked again."""
    model = ModelSettings(
        base_url=base_url, small="smollm2", large="smollm2", timeout_seconds=600, max_calls=20, repair_rounds=1
    )
    # One boundary for all questions: the server then knows the beginning of a prompt again.
    client = ModelClient(model, None, record=kept, token=lambda: "0123456789abcdef")
    (case,) = [case for case in all_cases() if case.name == name]
    found = measure([case], (ModelProposer(client),), client, RepositorySettings(model=model))
    del client
    gc.collect()

    exchanges = [json.loads(p.read_text()) for p in sorted(kept.rglob("*.json"), key=lambda p: p.stat().st_mtime_ns)]
    for exchange in exchanges:
        valid = exchange["kind"] == "answer"
        assert valid == (exchange["value"] is not None)
        assert not valid or misfit(exchange["value"], exchange["schema"]) == ""
        assert valid or exchange["reason"]
    (scored,) = found.scored
    for decision in scored.decided:
        assert decision.verdict.failure_type in FailureType
        if decision.proposal is not None:
            results = [ExecutionResult.model_validate_json(json.dumps(r)) for r in case.results]
            recheck(decision.proposal, parse(case.runbook), [r for r in results if r.failed], [])
    unfit = any("model_unfit" in decision.reason or decision.outcome == "rejected" for decision in scored.decided)
    questions = {}
    for question in ("classify", "edit"):
        own = [exchange for exchange in exchanges if exchange["name"] == question]
        replies = [reply for exchange in own for reply in exchange["replies"] if reply["status"] == 200]
        if own:
            refused = own[-1]["value"] is None or (question == "edit" and unfit)
            questions[question] = "refused" if refused else "repaired" if len(replies) > 1 else "valid"
    return Asked(scored, questions, found.usage.model_calls, found.seconds)


def told(manner: str, asked: Asked) -> str:
    """One line about a case."""
    became = ", ".join(f"{question} {what}" for question, what in asked.questions.items())
    outcome = "; ".join(f"{d.outcome}: {d.reason[:110]}" for d in asked.scored.decided)
    return (
        f"{manner}: {asked.scored.case.name}: {became} ({asked.calls} calls, {asked.seconds:.0f} s); "
        f"{asked.scored.predicted}; {outcome}"
    )


def test_nothing_crashes_and_nothing_slips_through(
    base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts: Counter[str] = Counter()
    for name in CASES:
        asked = ask(base_url, name, tmp_path / name)
        counts.update(asked.questions.keys())
        with capsys.disabled():
            print("\n" + told("as it is", asked), end="")
        assert not (asked.scored.false and asked.scored.case.family == "permission")
    assert counts["classify"] > 0
    assert counts["edit"] > 0


def test_bad_replies_are_repaired_or_refused(base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    became: Counter[str] = Counter()
    manners: dict[str, Manner] = {"stuttering": stuttering, "wordy": wordy, "feverish": feverish}
    for manner, changed in manners.items():
        for name in BAD_REPLIES:
            with relay(base_url, changed) as worse:
                asked = ask(worse, name, tmp_path / manner / name)
            became.update(asked.questions.values())
            with capsys.disabled():
                print("\n" + told(manner, asked), end="")
            if asked.questions.get("classify") == "refused":
                assert asked.scored.predicted == FailureType.UNKNOWN
            if asked.questions.get("edit") == "refused":
                assert asked.scored.proposal is None
    with capsys.disabled():
        print("\n" + ", ".join(f"{became[kind]} {kind}" for kind in ("valid", "repaired", "refused")))
    assert became["repaired"] > 0, "no bad reply was repaired"
    assert became["refused"] > 0, "no bad reply was refused"
