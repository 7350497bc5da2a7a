"""The interpreter's laws, told by a performer that does what a script says and whose clock is its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from learner import flow
from learner.actions import Outcome
from learner.errors import LearnerError
from learner.facts import Facts, Path, get
from learner.flow import Attempt, Claim, Observation
from learner.models.execution import ExecutionStatus, StepExecution
from learner.runbook_file import parse
from learner.template import UndefinedName
from tests.executor.conftest import runbook

T0 = datetime(2026, 11, 22, 5, tzinfo=UTC)
FAIL = Outcome.failed("it broke", exit_code=1)


@dataclass
class Scripted:
    """Answers step ids and check ids from lists; the last answer is given again. An attempt takes a second."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    looks: dict[str, list[bool | None]] = field(default_factory=dict)
    cancel_after: str | None = None
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    refreshed: Facts = field(default_factory=dict)
    _cancelled: bool = False

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds)

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        self.seconds += 1
        self.asked.append(attempt.step.id)
        self.attempts.append(attempt)
        if attempt.step.id == self.cancel_after:
            self._cancelled = True
        return self._next(self.outcomes.get(attempt.step.id, [Outcome(True)]))

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation:
        self.seconds += 0.1
        return Observation(self._next(self.looks.get(claim.verification.id, [True])), "seen")

    def _next(self, answers: list[Any]) -> Any:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        return self.refreshed

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        return None

    def cancelled(self) -> bool:
        return self._cancelled


def run(text: str, performer: Scripted, state: Mapping[str, Any] | None = None, **values: Any) -> flow.Run:
    book = parse(text.encode()).runbook
    return flow.run(book, flow.parameters(book, values), state or {}, performer)


def ids(run: flow.Run) -> list[tuple[str | None, str, bool]]:
    return [(step.step_id, step.phase, step.success) for step in run.steps]


def step(name: str, more: str = "") -> str:
    return f"- {{id: {name}, action: run_command, params: {{argv: [x]}}{', ' + more if more else ''}}}\n"


def test_all_well() -> None:
    done = run(runbook(step("a") + step("b")), performer := Scripted())
    assert ids(done) == [("a", "step", True), ("b", "step", True)]
    assert (done.status, done.verification_passed, done.error_message) == (ExecutionStatus.SUCCESS, True, None)
    assert performer.asked == ["a", "b"]
    assert [s.step_number for s in done.steps] == [1, 2]
    assert (done.completed_at - done.started_at).total_seconds() == pytest.approx(2.1)


def test_a_failed_step_aborts_and_nothing_is_verified() -> None:
    done = run(runbook(step("a") + step("b")), Scripted({"a": [FAIL]}))
    assert ids(done) == [("a", "step", False)]
    assert (done.status, done.verification_passed) == (ExecutionStatus.FAILURE, None)
    assert (done.error_message, done.error_step) == ("it broke", 1)
    assert done.checks == ()


def test_retry_waits_longer_each_time_and_counts() -> None:
    performer = Scripted({"a": [FAIL, FAIL, Outcome(True)]})
    done = run(runbook(step("a", "retry: {attempts: 4, delay_seconds: 2, backoff: 3}")), performer)
    assert performer.pauses == [2, 6]
    assert (done.steps[0].attempts, done.retry_count, done.steps[0].success) == (3, 2, True)
    assert [attempt.number for attempt in performer.attempts] == [1, 2, 3]


def test_retry_ends_with_the_last_attempt() -> None:
    performer = Scripted({"a": [FAIL]})
    done = run(runbook(step("a", "retry: {attempts: 3, delay_seconds: 1}")), performer)
    assert (performer.asked, performer.pauses) == (["a"] * 3, [1, 1])
    assert done.status is ExecutionStatus.FAILURE


def test_until_is_what_counts_as_done() -> None:
    answers = [Outcome(True, "starting"), Outcome(True, "ready")]
    more = "retry: {attempts: 5, delay_seconds: 1, until: \"steps.a.stdout == 'ready'\"}"
    done = run(runbook(step("a", more)), Scripted({"a": answers}))
    assert (done.steps[0].attempts, done.steps[0].success) == (2, True)
    never = run(runbook(step("a", more)), Scripted({"a": [Outcome(True, "starting")]}))
    assert never.steps[0].error == "not reached: steps.a.stdout == 'ready'"
    assert never.status is ExecutionStatus.FAILURE


def test_when_leaves_a_step_out_and_says_so() -> None:
    performer = Scripted()
    done = run(runbook(step("a", 'when: "state.disk.usage_percent > 90"')), performer, {"disk": {"usage_percent": 50}})
    assert performer.asked == []
    assert (done.steps[0].skipped, done.steps[0].success, done.steps[0].attempts) == (True, True, 0)


def test_when_sees_what_steps_before_it_changed() -> None:
    performer = Scripted({"a": [Outcome(True, facts={("services", "web"): "running"})]})
    book = runbook(step("a") + step("b", "when: \"state.services.web != 'running'\""))
    done = run(book, performer, {"services": {"web": "stopped"}})
    assert done.steps[1].skipped
    assert done.steps[0].state_changes == {"services.web": {"before": "stopped", "after": "running"}}


def test_when_looks_again_after_something_may_have_changed() -> None:
    performer = Scripted(refreshed={("services", "web"): "running"})
    done = run(
        runbook(step("a") + step("b", "when: \"state.services.web != 'running'\"")),
        performer,
        {"services": {"web": "stopped"}},
    )
    assert done.steps[1].skipped


def test_an_expression_over_nothing_fails_its_step_with_the_reason() -> None:
    done = run(runbook(step("a", "when: \"state.services.web == 'x'\"")), performer := Scripted())
    assert "not defined" in done.steps[0].error
    assert performer.asked == []
    assert done.status is ExecutionStatus.FAILURE


def test_continue_goes_on_and_the_run_can_still_succeed() -> None:
    done = run(runbook(step("a", "on_failure: continue") + step("b")), Scripted({"a": [FAIL]}))
    assert ids(done) == [("a", "step", False), ("b", "step", True)]
    assert done.status is ExecutionStatus.SUCCESS


def test_goto_goes_where_it_says() -> None:
    done = run(runbook(step("a", "on_failure: {goto: c}") + step("b") + step("c")), Scripted({"a": [FAIL]}))
    assert [s.step_id for s in done.steps] == ["a", "c"]


def test_a_goto_that_goes_round_is_bounded() -> None:
    done = run(runbook(step("a") + step("b", "on_failure: {goto: a}")), performer := Scripted({"b": [FAIL]}))
    assert len(performer.asked) == flow.MOST_STEPS
    assert done.status is ExecutionStatus.FAILURE
    assert "went round" in (done.error_message or "")


ROLLBACK = "rollback:\n  - {id: r1, action: run_command, params: {argv: [x]}}\n  - {id: r2, action: run_command, params: {argv: [x]}}\n"
FINALLY = "finally:\n  - {id: f1, action: run_command, params: {argv: [x]}}\n  - {id: f2, action: run_command, params: {argv: [x]}}\n"


def test_rollback_runs_in_order_with_its_own_record() -> None:
    done = run(runbook(step("a") + step("b", "on_failure: rollback"), more=ROLLBACK), Scripted({"b": [FAIL]}))
    assert ids(done) == [("a", "step", True), ("b", "step", False), ("r1", "rollback", True), ("r2", "rollback", True)]
    assert (done.status, done.error_step) == (ExecutionStatus.FAILURE, 2)


def test_rollback_stops_at_its_own_failure_and_cleanup_does_not() -> None:
    performer = Scripted({"a": [FAIL], "r1": [FAIL], "f1": [FAIL]})
    done = run(runbook(step("a", "on_failure: rollback"), more=ROLLBACK + FINALLY), performer)
    assert performer.asked == ["a", "r1", "f1", "f2"]
    assert done.error_message == "it broke"


def test_no_rollback_unless_asked_for() -> None:
    performer = Scripted({"a": [FAIL]})
    run(runbook(step("a"), more=ROLLBACK), performer)
    assert performer.asked == ["a"]


def test_a_verification_that_does_not_pass_rolls_back() -> None:
    performer = Scripted(looks={"there": [False]})
    done = run(runbook(step("a"), more=ROLLBACK), performer)
    assert performer.asked == ["a", "r1", "r2"]
    assert (done.status, done.verification_passed) == (ExecutionStatus.FAILURE, False)
    assert "there (file_exists)" in (done.error_message or "")


@pytest.mark.parametrize("broken", ["a", "there", None])
def test_cleanup_always_runs(broken: str | None) -> None:
    performer = Scripted({"a": [FAIL]} if broken == "a" else {}, {"there": [broken != "there"]})
    run(runbook(step("a"), more=FINALLY), performer)
    assert performer.asked == ["a", "f1", "f2"]


def test_a_cleanup_that_fails_makes_the_run_partial_and_keeps_the_verdict() -> None:
    done = run(runbook(step("a"), more=FINALLY), Scripted({"f2": [FAIL]}))
    assert (done.status, done.verification_passed) == (ExecutionStatus.PARTIAL, True)
    assert (done.error_message, done.error_step) == ("cleanup: it broke", 3)


def test_a_cancelled_run_is_partial_unverified_and_cleaned_up() -> None:
    performer = Scripted(cancel_after="a")
    done = run(runbook(step("a") + step("b"), more=FINALLY), performer)
    assert performer.asked == ["a", "f1", "f2"]
    assert (done.status, done.verification_passed, done.error_message) == (ExecutionStatus.PARTIAL, None, "cancelled")
    assert done.checks == ()


def test_a_step_that_was_cut_off_and_asks_for_rollback_gets_it() -> None:
    performer = Scripted({"a": [FAIL]}, cancel_after="a")
    done = run(runbook(step("a", "on_failure: rollback"), more=ROLLBACK), performer)
    assert performer.asked == ["a", "r1", "r2"]
    assert (done.status, done.error_message, done.error_step) == (ExecutionStatus.PARTIAL, "cancelled: it broke", 1)


@pytest.mark.parametrize(
    ("looks", "verdict", "status"),
    [
        ([True, True], True, ExecutionStatus.SUCCESS),
        ([True, None], None, ExecutionStatus.SUCCESS),
        ([None, None], None, ExecutionStatus.SUCCESS),
        ([None, False], False, ExecutionStatus.FAILURE),
        ([True, False], False, ExecutionStatus.FAILURE),
    ],
)
def test_verification_has_three_values(looks: list[bool | None], verdict: bool | None, status: ExecutionStatus) -> None:
    checks = "- {id: one, check: file_exists, params: {path: /}}\n- {id: two, check: file_exists, params: {path: /}}"
    done = run(runbook(step("a"), checks), Scripted(looks={"one": [looks[0]], "two": [looks[1]]}))
    assert (done.verification_passed, done.status) == (verdict, status)
    assert len(done.checks) == 2


def test_a_claim_has_time_to_come_true() -> None:
    checks = "- {id: one, check: file_exists, params: {path: /}, within_seconds: 10}"
    done = run(runbook(step("a"), checks), Scripted(looks={"one": [False, None, False, True]}))
    assert done.checks[0].passed is True
    assert 1.5 < done.checks[0].waited_seconds < 10
    late = run(runbook(step("a"), checks), Scripted(looks={"one": [False]}))
    assert (late.checks[0].passed, late.verification_passed) == (False, False)
    assert late.checks[0].waited_seconds == pytest.approx(10, abs=0.7)


def test_a_claim_that_must_stay_true_is_looked_at_again() -> None:
    checks = "- {id: one, check: file_exists, params: {path: /}, within_seconds: 1, stays_good_seconds: 5}"
    done = run(runbook(step("a"), checks), Scripted(looks={"one": [True]}))
    assert done.checks[0].passed is True
    assert done.checks[0].waited_seconds >= 5
    flapping = run(runbook(step("a"), checks), Scripted(looks={"one": [True, True, True, False]}))
    assert flapping.checks[0].passed is False


def test_a_claim_whose_parameters_are_not_there_is_unknown_not_good() -> None:
    checks = '- {id: one, check: file_exists, params: {path: "{{ steps.a.data.path }}"}}'
    done = run(runbook(step("a"), checks), Scripted())
    assert (done.checks[0].passed, done.verification_passed) == (None, None)
    assert "not defined" in str(done.checks[0].observed)


def test_a_precondition_that_does_not_hold_skips_and_touches_nothing() -> None:
    performer = Scripted()
    done = run(
        runbook(step("a"), more='preconditions: ["state.disk.usage_percent < 90"]\n' + FINALLY),
        performer,
        {"disk": {"usage_percent": 95}},
    )
    assert (done.status, performer.asked, done.steps) == (ExecutionStatus.SKIPPED, [], ())
    assert "does not hold" in (done.reason or "")
    blind = run(runbook(step("a"), more='preconditions: ["state.disk.usage_percent < 90"]\n'), Scripted())
    assert (blind.status, "can't be judged" in (blind.reason or "")) == (ExecutionStatus.SKIPPED, True)


def test_escalate_marks_the_run() -> None:
    done = run(runbook(step("a")), Scripted({"a": [Outcome(True, manual=True)]}))
    assert done.manual


def test_parameters_are_rendered_with_their_types_and_checked() -> None:
    more = "parameters:\n  seconds: {type: number}\n  name: {type: string, default: web}\n"
    text = runbook(
        '- {id: a, action: wait, params: {seconds: "{{ seconds }}"}}\n- {id: b, action: run_command, params: {argv: [echo, "hi {{ name }}"]}}',
        more=more,
    )
    done = run(text, performer := Scripted(), seconds=2.5)
    assert performer.attempts[0].params.seconds == 2.5
    assert done.steps[1].params == {"argv": ["echo", "hi web"]}
    too_long = run(text, performer := Scripted(), seconds=99_999)
    assert "params: seconds" in too_long.steps[0].error
    assert performer.asked == []


def test_a_step_sees_what_another_found() -> None:
    performer = Scripted({"a": [Outcome(True, "/var\n", data={"files": [{"path": "/x"}]})]})
    text = runbook(step("a") + '- {id: b, action: remove_file, params: {path: "{{ steps.a.data.files[0].path }}"}}')
    done = run(text, performer)
    assert done.steps[1].params == {"path": "/x"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs the parameter port"),
        ({"port": "80"}, "'80' is no integer"),
        ({"port": True}, "True is no integer"),
        ({"port": 0}, "below 1"),
        ({"port": 80, "prot": 1}, "no parameter prot"),
        ({"port": 80, "key": "a b"}, "the secret does not fit"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_before_anything_runs(given: dict[str, Any], said: str) -> None:
    more = 'parameters:\n  port: {type: integer, minimum: 1}\n  key: {type: string, secret: true, default: x, pattern: "^[a-z]+$"}\n'
    performer = Scripted()
    with pytest.raises(LearnerError, match=said):
        run(runbook(step("a"), more=more), performer, **given)
    assert performer.asked == []


def test_every_record_is_told_as_soon_as_it_stands() -> None:
    told: list[StepExecution] = []
    book = parse(runbook(step("a") + step("b", "on_failure: rollback"), more=ROLLBACK + FINALLY).encode()).runbook
    done = flow.run(book, {}, {}, Scripted({"b": [FAIL]}), recorded=told.append)
    assert tuple(told) == done.steps
    assert [s.step_id for s in told] == ["a", "b", "r1", "r2", "f1", "f2"]


def test_the_state_is_what_is_known_at_the_end() -> None:
    done = run(
        runbook(step("a")),
        Scripted({"a": [Outcome(True, facts={("files", "/x", "exists"): True})]}),
        {"disk": {"usage_percent": 1}},
    )
    assert get(done.state, ("files", "/x", "exists")) is True
    assert get(done.state, ("disk", "usage_percent")) == 1
