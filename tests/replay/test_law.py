"""The law: a version replayed on its own recording gives its recording."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from learner import flow
from learner.actions import Outcome
from learner.facts import Facts, Path, merged
from learner.flow import Attempt, Claim, Observation, Run
from learner.models import ExecutionResult, Runbook
from learner.replay import replay_run
from learner.runbook_file import RunbookFile
from learner.template import UndefinedName
from tests.replay.runbooks import START, runbook
from tests.samples import document

NAMES = ("web", "db")
ERRORS = (
    "pidfile /run/web/web.pid exists",
    "connection refused to port 5433",
    "timed out",
    "Permission denied",
    "boom",
    "",
)


class Dice:
    """A host that does anything: outcomes, facts and durations are thrown with a seed."""

    def __init__(self, seed: int, state: dict[str, Any]) -> None:
        self.dice = random.Random(seed)
        self.at = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
        self.state = state
        self.asked = 0
        self.stop_after = self.dice.choice([10_000, 10_000, 10_000, 6])

    def now(self) -> datetime:
        return self.at

    def spend(self, most: float) -> None:
        self.at += timedelta(seconds=round(self.dice.uniform(0, most), 3))

    def drift(self) -> None:
        service = self.dice.choice(NAMES)
        self.state = merged(self.state, {("services", service): self.dice.choice(["running", "stopped", "failed"])})

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        self.asked += 1
        self.spend(3.0)
        if self.dice.random() < 0.5:
            self.drift()
        facts = {
            ("services", name): self.state.get("services", {}).get(name, "stopped")
            for name in NAMES
            if self.dice.random() < 0.3
        }
        if self.dice.random() < 0.55:
            return Outcome(True, "fine", exit_code=0, data={"count": self.dice.randrange(3)}, facts=facts)
        return Outcome(
            False,
            stderr=self.dice.choice(ERRORS),
            exit_code=self.dice.choice([1, 7]),
            facts=facts,
            timed_out=self.dice.random() < 0.2,
        )

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation:
        self.asked += 1
        self.spend(2.0)
        return Observation(self.dice.choice([True, True, False, None]), "seen")

    def pause(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        return {("services", name): value for name, value in self.state.get("services", {}).items()}

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        return None

    def cancelled(self) -> bool:
        return self.asked > self.stop_after


CONDITIONS = st.sampled_from(
    [
        None,
        None,
        "state.services.web != 'running'",
        "state.services.db == 'running'",
        "state.ports['80'] == 'closed'",
        "service == 'web'",
        "state.services.nix == 'x'",
    ]
)
ACTIONS = st.sampled_from(
    [
        ("start_service", {"name": "{{ service }}"}),
        ("restart_service", {"name": "db"}),
        ("stop_service", {"name": "{{ service }}"}),
        ("remove_file", {"path": "/run/{{ service }}/web.pid"}),
        ("run_command", {"argv": ["webctl", "{{ service }}"]}),
        ("run_command", {"argv": ["webctl", "{{ service }}"], "success_exit_codes": [0, 7]}),
        ("check_port", {"port": 5433}),
        ("wait", {"seconds": 2}),
        ("create_directory", {"path": "/run/web"}),
        ("assert", {"that": "{{ service == 'web' }}"}),
    ]
)


@st.composite
def steps(draw: st.DrawFn, prefix: str, most: int, targets: int = 0) -> list[dict[str, Any]]:
    made = []
    for i in range(draw(st.integers(0 if prefix != "s" else 1, most))):
        action, params = draw(ACTIONS)
        step: dict[str, Any] = {"id": f"{prefix}{i}", "action": action, "params": params}
        if when := draw(CONDITIONS):
            step["when"] = when
        if prefix == "s" and i and draw(st.booleans()):
            step["when"] = f"steps.s{i - 1}.success"
        if draw(st.booleans()):
            step["retry"] = {"attempts": draw(st.integers(1, 3)), "delay_seconds": 2, "backoff": 2}
            if draw(st.booleans()):
                step["retry"]["until"] = f"steps.{prefix}{i}.data.count == 1"
        step["on_failure"] = draw(
            st.sampled_from(["abort", "continue", "rollback"] if prefix == "s" else ["abort", "continue"])
        )
        made.append(step)
    if prefix == "s" and len(made) > 1 and draw(st.booleans()):
        made[draw(st.integers(0, len(made) - 1))]["on_failure"] = {"goto": f"s{draw(st.integers(0, len(made) - 1))}"}
    return made


@st.composite
def runbooks(draw: st.DrawFn) -> RunbookFile:
    verification = [
        {
            "id": f"v{i}",
            "check": check,
            "params": params,
            "within_seconds": draw(st.sampled_from([0, 1, 10])),
            "stays_good_seconds": draw(st.sampled_from([0, 0, 3])),
        }
        for i, (check, params) in enumerate(
            draw(
                st.lists(
                    st.sampled_from(
                        [
                            ("service_running", {"name": "{{ service }}"}),
                            ("http_ok", {"url": "http://127.0.0.1/"}),
                            ("command_succeeds", {"argv": ["true"]}),
                        ]
                    ),
                    min_size=1,
                    max_size=3,
                )
            )
        )
    ]
    return runbook(
        *draw(steps("s", 5)),
        verification=verification,
        rollback=[{"id": "undo", "action": "restart_service", "params": {"name": "db"}}, *draw(steps("r", 2))],
        **{"finally": draw(steps("f", 2))},
        preconditions=draw(st.sampled_from([[], [], ["state.services.web != 'running'"], ["service == 'web'"]])),
    )


def recorded(book: Runbook, run: Run, state: dict[str, Any], after: Mapping[str, Any]) -> ExecutionResult:
    found = document(
        runbook_version=1,
        parameters={"service": "web"},
        status=run.status.value,
        success=run.status.value == "success",
        verification_passed=run.verification_passed,
        started_at=run.started_at.isoformat(),
        completed_at=run.completed_at.isoformat(),
        state_before=state,
        state_after={"services": after.get("services", {})},
        executed_steps=[json.loads(step.model_dump_json()) for step in run.steps],
        checks=[json.loads(check.model_dump_json()) for check in run.checks],
        error_message=run.error_message,
        error_step=run.error_step,
    )
    return ExecutionResult.model_validate_json(json.dumps(found))


# A condition that can't be worked out ends its step before anything is done: that is no change of the host.
UNDECIDED = runbook(
    {**START, "id": "s0", "when": "state.ports['80'] == 'closed'", "on_failure": "continue"},
    {"id": "s1", "action": "check_port", "params": {"port": 5433}, "on_failure": {"goto": "s0"}},
)


@settings(max_examples=150, deadline=None)
@given(runbooks(), st.integers(0, 10**9), st.sampled_from(["running", "stopped", "failed"]), st.booleans())
@example(UNDECIDED, 0, "running", False)
def test_a_version_replayed_on_its_own_recording_gives_its_recording(
    book: RunbookFile, seed: int, status: str, ports: bool
) -> None:
    state: dict[str, Any] = {"services": {"web": status, "db": "stopped"}}
    if ports:
        state["ports"] = {"80": "closed"}
    run = flow.run(book.runbook, {"service": "web"}, state, Dice(seed, state))
    result = recorded(book.runbook, run, state, run.state)
    again = replay_run(book, book, result).run
    assert again is not None
    assert [(s.phase, s.step_id, s.success, s.skipped) for s in again.steps] == [
        (s.phase, s.step_id, s.success, s.skipped) for s in run.steps
    ]
    assert [(c.id, c.passed) for c in again.checks] == [(c.id, c.passed) for c in run.checks]
    assert again.status == run.status
    assert again.verification_passed == run.verification_passed
