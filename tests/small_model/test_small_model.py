"""The whole model path against a real, very small model. It can't judge anything: what counts is that nothing crashes
and nothing gets past the checks."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.repair.cases import all_cases
from benchmarks.repair.measure import measure
from learner.decide import recheck
from learner.model_client import ModelClient, misfit
from learner.models import ExecutionResult, FailureType
from learner.proposals.openai import ModelProposer
from learner.runbook_file import parse
from learner.settings import ModelSettings, RepositorySettings

# A connection that the client keeps open is collected after the server has gone.
pytestmark = [pytest.mark.small_model, pytest.mark.filterwarnings("ignore:.*unclosed:ResourceWarning")]

CASES = (
    "service/stale-pid-file",
    "doubt/orders-in-the-output",
    "doubt/two-causes-in-one-breath",
    "permission/sudo-wants-a-password",
)


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


def test_nothing_crashes_and_nothing_slips_through(
    base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ModelSettings(base_url=base_url, small="smollm2", large="smollm2", timeout_seconds=300, max_calls=60)
    client = ModelClient(model, None, record=tmp_path)
    cases = [case for case in all_cases() if case.name in CASES]
    assert len(cases) == len(CASES)
    found = measure(cases, (ModelProposer(client),), client, RepositorySettings(model=model))

    del client
    gc.collect()

    exchanges = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("*.json"))]
    kinds: dict[str, Counter[str]] = {"classify": Counter(), "edit": Counter()}
    for exchange in exchanges:
        valid = exchange["kind"] == "answer"
        kinds[exchange["name"]][("valid" if len(exchange["replies"]) == 1 else "repaired") if valid else "refused"] += 1
        assert valid == (exchange["value"] is not None)
        assert not valid or misfit(exchange["value"], exchange["schema"]) == ""
        assert valid or exchange["reason"]
    with capsys.disabled():
        print(f"\n{found.seconds:.0f} s, {found.usage.model_calls} calls, {found.usage.input_tokens} tokens in, "
              f"{found.usage.output_tokens} out")  # fmt: skip
        for name, counts in kinds.items():
            print(f"{name}: {', '.join(f'{counts[kind]} {kind}' for kind in ('valid', 'repaired', 'refused'))}")
        for one in found.scored:
            print(
                f"{one.case.name}: {one.predicted}; {'; '.join(f'{d.outcome}: {d.reason[:200]}' for d in one.decided)}"
            )
    assert all(sum(counts.values()) > 0 for counts in kinds.values())
    for one in found.scored:
        for decision in one.decided:
            assert decision.verdict.failure_type in FailureType
            if decision.proposal is not None:
                results = [ExecutionResult.model_validate_json(json.dumps(r)) for r in one.case.results]
                recheck(decision.proposal, parse(one.case.runbook), [r for r in results if r.failed], [])
    assert not any(one.false for one in found.scored if one.case.family == "permission")
