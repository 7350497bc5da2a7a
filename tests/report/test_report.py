"""`learner report` on a real ledger: near-equal failures and habits, in its text and in its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from learner import journey, pipeline
from learner.cli.report import show
from places import Place
from samples import result
from tests.pipeline.test_learn import at, send, stale

PIDFILE = "web: ERROR (spawn error): pidfile /run/web/web.pid exists, is another instance running?"
ALIVE = PIDFILE.replace("running?", "alive?")
REF = "RB-LIN-SERVICE-001-v1"


def saying(number: int, error: str) -> Any:
    step = result().executed_steps[0].model_dump(mode="json") | {"error": error}
    return stale(number, error_message=error, executed_steps=[step])


def verified(number: int, attempts: int) -> Any:
    step = result().executed_steps[0].model_dump(mode="json")
    done = step | {"success": True, "error": "", "exit_code": 0, "attempts": attempts}
    return stale(number, status="success", success=True, verification_passed=True, error_message=None, error_step=None,
                 executed_steps=[done])  # fmt: skip


def test_near_equal_failures_are_told_as_one_everywhere(
    place: Place,
    job: pipeline.Job,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    send(place, tmp_path, saying(1, PIDFILE), saying(2, PIDFILE), saying(3, ALIVE))
    learned = pipeline.learn(job)
    big, small = sorted((d.cluster for d in learned.plan.decisions), key=lambda cluster: -cluster.failures)
    assert big.joined is not None
    assert small.joined is not None
    assert (big.joined.forms, big.joined.failures, big.joined.first) == (2, 3, big.signature)
    assert [form.signature for form in big.joined.others] == [small.signature]
    assert (small.joined.first, small.joined.others[0].failures) == (big.signature, 2)

    page = place.gateway().pulls("learner/")[0].body
    assert "| near-equal | 3 failures in 2 forms are shown as one; evidence and replay are of this form alone." in page
    assert f"`{small.signature}` 1 ×" in page

    metrics = pipeline.report(at(job, 5))
    (told,) = metrics.near_equal
    assert (told.ref, told.forms, told.failures) == (REF, 2, 3)
    assert told.signatures == (big.signature, small.signature)
    show(metrics)
    assert f"near-equal: {REF}, 3 failures in 2 forms that are shown as one" in " ".join(
        capsys.readouterr().out.split()
    )

    looked = journey.look(at(job, 6))
    clustered = [hop.words for hop in journey.of_execution(looked, "exec-20261122-00000001") if hop.name == "clustered"]
    assert f"near-equal are {small.signature} (1)" in clustered[0]


def test_a_failure_that_stands_alone_is_joined_with_nothing(
    place: Place,
    job: pipeline.Job,
    tmp_path: Path,
) -> None:
    send(place, tmp_path, saying(1, PIDFILE))
    assert pipeline.learn(job).plan.decisions[0].cluster.joined is None
    assert "near-equal" not in place.gateway().pulls("learner/")[0].body
    assert pipeline.report(at(job, 5)).near_equal == ()


def test_habits_are_told_without_being_proposed(
    place: Place,
    job: pipeline.Job,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from learner.repository.git import Git
    from places import DANA

    seed, path = Git(tmp_path / "seed"), tmp_path / "seed/runbooks/linux/RB-LIN-SERVICE-001.yaml"
    path.write_text(
        path.read_text().replace("timeout_seconds: 20\n", "timeout_seconds: 20\n    retry: {attempts: 3}\n")
    )
    seed.run("commit", "-qam", "a retry", env=DANA.environment())
    seed.run("push", "-q", str(tmp_path / "runbooks.git"), "main")
    assert not job.settings.follow_up.optimisations
    least = job.settings.follow_up.optimisation_min_runs
    send(place, tmp_path, *(verified(n, 2) for n in range(1, least)))
    pipeline.learn(job)
    assert pipeline.report(at(job, 5)).habits == (), "too few runs to speak of a habit"
    send(place, tmp_path, verified(least, 2))
    learned = pipeline.learn(at(job, 6))
    assert learned.plan.follow_ups == ()
    assert place.gateway().pulls("learner/") == []
    metrics = pipeline.report(at(job, 7))
    (habit,) = metrics.habits
    assert (habit.ref, habit.kind, habit.step_id, habit.priority) == (REF, "second-try", "start", "low")
    assert json.loads(metrics.model_dump_json())["habits"][0]["words"] == habit.words
    show(metrics)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"low priority: {REF}: In all of its {least} verified runs the step start failed at first" in shown
