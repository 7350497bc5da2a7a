"""What follows from merged versions and from success: against a real forge and real Git, by people's merges."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from learner import journey, pipeline
from learner.cli.job import proposers
from learner.errors import Refused
from learner.forge.gateway import Gateway
from learner.model_client import ModelClient
from learner.models import ExecutionResult, FollowUp, Plan
from learner.proposals.brief import Draft
from learner.proposals.patterns import load
from learner.runbook_file import parse
from learner.settings import FollowUpSettings, LimitSettings, ModelSettings, RepositorySettings
from places import DANA, LEARNER, RUNBOOK, Place
from samples import result
from tests.pipeline.test_learn import Scripted, outcomes, send, stale
from tests.proposals.test_candidate import DAMAGED, RESTORE

NOW = datetime.now(UTC) + timedelta(days=1)
"""The forge dates what it opens by the clock, so these jobs run after that."""
ID = "RB-LIN-SERVICE-001"
SIBLING = "RB-LIN-MAIL-001"


@pytest.fixture
def job(place: Place, httpserver: HTTPServer) -> pipeline.Job:
    """A job whose small model holds every failure that no rule knows for one that a better runbook repairs."""
    settings = RepositorySettings(forge=place.settings, limits=LimitSettings(cooldown_hours=0))
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(insufficient)
    return pipeline.Job(
        git=place.git, remote="origin", settings=settings, author=LEARNER, run_id="run-1", now=NOW,
        proposers=proposers(None), gateway=place.gateway(),
        classifier=ModelClient(ModelSettings(base_url=httpserver.url_for("/v1")), "key"),
    )  # fmt: skip


def insufficient(request: Request) -> Response:
    cited = re.findall(r"exec-[0-9]{8}-[0-9A-Za-z]+#[0-9]+", request.get_data(as_text=True))[:1]
    said = {
        "failure_type": "runbook_insufficient",
        "confidence": 90,
        "reasoning": "A step is missing.",
        "evidence": cited,
    }
    message = {"role": "assistant", "content": json.dumps(said)}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "small",
             "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
             "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}  # fmt: skip
    return Response(json.dumps(whole), content_type="application/json")


def at(job: pipeline.Job, minutes: int) -> pipeline.Job:
    """The same job, later: a new look at the forge."""
    gateway = Gateway(job.settings.forge, "acme/runbooks", "token-of-the-learner", retries=0)
    return replace(job, now=NOW + timedelta(minutes=minutes), run_id=f"run-{minutes}", gateway=gateway)


def run_of(
    number: int, version: int = 1, *, good: bool = False, error: str = DAMAGED, **changes: Any
) -> ExecutionResult:
    """A run of a version: verified, or failed on a damaged table."""
    ident = f"exec-20261122-{number:08d}"
    minute = f"{6 + number // 60:02d}:{number % 60:02d}"
    step = result().executed_steps[0].model_dump(mode="json") | {"error": error}
    held: dict[str, Any] = {
        "execution_id": ident, "evidence_bundle_id": f"ev-{ident}", "runbook_version": version, "runbook_blob": None,
        "started_at": f"2026-11-22T{minute}:00Z", "completed_at": f"2026-11-22T{minute}:07Z",
        "parameters": {"service": "web", "port": 8080}, "error_message": error, "executed_steps": [step],
    }  # fmt: skip
    if good:
        held |= {"status": "success", "success": True, "verification_passed": True, "error_message": None, "error_step": None,
                 "executed_steps": [step | {"success": True, "error": "", "exit_code": 0}]}  # fmt: skip
    return result(**(held | changes))


def many(first: int, count: int, version: int, *, good: bool, **changes: Any) -> list[ExecutionResult]:
    return [run_of(first + n, version, good=good, **changes) for n in range(count)]


def merged(place: Place, job: pipeline.Job, tmp_path: Path, *before: ExecutionResult) -> Scripted:
    """v2, written by a model, proposed for what is sent and merged by Dana."""
    send(place, tmp_path, *before)
    scripted = Scripted([RESTORE])
    learned = pipeline.learn(replace(job, proposers=(scripted,)))
    assert [p.action for p in learned.published] == ["opened"], learned.plan.decisions
    merge(place, learned.published[0].number)
    return scripted


def merge(place: Place, number: int | None) -> None:
    assert number is not None
    dana = place.person()
    dana.approve(dana.pull(number))
    dana.merge(dana.pull(number))


def ups(learned: pipeline.Learned) -> list[tuple[str, str, str]]:
    return [(up.kind, up.ref, up.outcome) for up in learned.plan.follow_ups]


def with_settings(job: pipeline.Job, **changes: Any) -> pipeline.Job:
    settings = job.settings.model_copy(update={"follow_up": FollowUpSettings(**changes)})
    return replace(job, settings=settings)


def body_of(place: Place, number: int | None) -> str:
    return next(pull.body for pull in place.gateway().pulls("learner/") if pull.number == number)


def test_a_merged_version_that_does_worse_gets_one_pull_request_back(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    merged(place, job, tmp_path, run_of(1), *many(10, 12, 1, good=True))
    send(place, tmp_path, *many(40, 4, 2, good=False, error="web: ERROR the restored table is older than the index"))
    early = pipeline.learn(replace(at(job, 5), proposers=(Scripted(),)))
    assert ups(early) == [], "four judged runs prove nothing yet"
    send(place, tmp_path, *many(50, 4, 2, good=False, error="web: ERROR the restored table is older than the index"))
    back = pipeline.learn(replace(at(job, 6), proposers=(Scripted(),)))
    assert ups(back) == [("revert", f"{ID}-v3", "proposed")]
    assert back.plan.decisions[0].reason.startswith(f"one_open: {ID}-v3")
    (published,) = back.published
    pull = place.gateway().pulls("learner/")[-1]
    assert set(pull.labels) == {"learner", "runbook-improvement", "revert", "priority:high"}
    place.git.run("fetch", "-q", "origin", pull.branch)
    text = place.git.run("cat-file", "blob", f"FETCH_HEAD:runbooks/linux/{ID}.yaml")
    restored = parse(text).runbook
    assert (restored.version, restored.steps) == (3, parse(RUNBOOK.read_bytes()).runbook.steps)
    assert restored.metadata is not None
    assert restored.metadata.parent_runbook == f"{ID}-v2"
    words = body_of(place, published.number)
    assert "does worse than the version it replaced" in words
    assert "of 8 judged runs" in words
    refs = place.git.text("ls-remote", "origin")
    assert pipeline.learn(replace(at(job, 9), proposers=(Scripted(),))).did_nothing
    assert place.git.text("ls-remote", "origin") == refs, "a second run wrote something"
    dana = place.person()
    assert published.number is not None
    dana.reject(dana.pull(published.number), "wrong", "The disks were full that day.")
    send(place, tmp_path, *many(80, 2, 2, good=False))
    told = journey.of_runbook(journey.look(replace(at(job, 10), classifier=None)), ID)
    assert [(hop.name, hop.mark) for hop in told if hop.name in ("proved", "way back")] == [
        ("proved", "told"),
        ("way back", "stopped"),
    ]
    again = pipeline.learn(replace(at(job, 11), proposers=(Scripted(),)))
    assert [up.reason.split(":")[0] for up in again.plan.follow_ups] == ["rejected_before"]
    assert not [p for p in again.published if p.action == "opened"]


def test_after_a_revert_learning_goes_on_without_that_edit(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    merged(place, job, tmp_path, run_of(1), *many(10, 12, 1, good=True))
    send(place, tmp_path, *many(50, 8, 2, good=False))
    merge(place, pipeline.learn(replace(at(job, 5), proposers=(Scripted(),))).published[-1].number)
    send(place, tmp_path, run_of(70, 3))
    asked = Scripted([RESTORE], [RESTORE])
    learned = pipeline.learn(replace(at(job, 6), proposers=(asked,)))
    assert outcomes(learned)[0] == (f"{ID}-v3", "rejected")
    assert "rejected_before" in learned.plan.decisions[0].reason
    assert any("runs before" in words for words in asked.briefs[0].setbacks)
    assert ups(learned) == [], "a revert is not reverted by the machine"


def test_an_open_pull_request_of_the_runbook_goes_first(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    merged(place, job, tmp_path, run_of(1), *many(10, 12, 1, good=True))
    send(place, tmp_path, stale(50, runbook_version=2))
    draft = pipeline.learn(at(job, 5))
    assert [p.action for p in draft.published] == ["opened"], draft.plan.decisions[0].reason
    send(place, tmp_path, *many(60, 8, 2, good=False))
    later = pipeline.learn(replace(at(job, 6), proposers=(Scripted(),)))
    assert later.plan.follow_ups[0].reason.startswith(f"one_open: #{draft.published[0].number}")


def test_a_merged_version_that_does_better_becomes_a_pattern_and_counts_once_merged(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    merged(place, job, tmp_path, *many(1, 3, 1, good=False))
    send(place, tmp_path, *many(40, 12, 2, good=True))
    learned = pipeline.learn(at(job, 5))
    assert ups(learned) == [("pattern", f"{ID}-v2", "proposed")]
    (published,) = learned.published
    pull = place.gateway().pulls("learner/")[-1]
    assert set(pull.labels) == {"learner", "repair-pattern", "priority:low"}
    up = learned.plan.follow_ups[0]
    (pattern,) = load([(up.path, up.content.encode())])
    assert up.path == f"runbooks/patterns/{pattern.id}.yaml"
    assert "acme" not in up.content
    assert "acme" not in body_of(place, published.number).split("\n", 1)[1]
    assert pipeline.learn(at(job, 6)).did_nothing
    # a sibling at another client fails in the same way: without the pattern nobody knows what to do
    sibling(place, tmp_path)
    at_beta = {"runbook_id": SIBLING, "client_id": "beta", "hostname": "mail-1"}
    send_as_beta(place, tmp_path, [run_of(90, 1, error=DAMAGED.replace("web-1", "mail-1"), **at_beta)])
    before = pipeline.learn(at(job, 7))
    assert dict(outcomes(before))[f"{SIBLING}-v1"] == "no_proposal"
    merge(place, published.number)
    after = pipeline.learn(at(job, 8))
    assert dict(outcomes(after))[f"{SIBLING}-v1"] == "proposed"
    assert after.plan.proposals[0].proposer == f"patterns/{pattern.id}"
    assert [up.outcome for up in after.plan.follow_ups if up.kind == "pattern"] == ["deferred"]


def sibling(place: Place, tmp_path: Path) -> None:
    """A runbook of the same kind on main, put there by a person."""
    from learner.repository.git import Git

    theirs = Git(tmp_path / "seed")
    theirs.run("pull", "-q", str(tmp_path / "runbooks.git"), "main")
    old = (tmp_path / f"seed/runbooks/linux/{ID}.yaml").read_text()
    first = theirs.text("rev-list", "--max-parents=0", "HEAD")
    old = theirs.run("cat-file", "blob", f"{first}:runbooks/linux/{ID}.yaml").decode()
    (tmp_path / f"seed/runbooks/linux/{SIBLING}.yaml").write_text(old.replace(ID, SIBLING))
    theirs.run("add", "-A")
    theirs.run("commit", "-qm", "a sibling", env=DANA.environment())
    theirs.run("push", "-q", str(tmp_path / "runbooks.git"), "main")


def send_as_beta(place: Place, tmp_path: Path, results: Sequence[ExecutionResult]) -> None:
    from learner.repository.git import Identity
    from learner.telemetry.inbox import push
    from learner.telemetry.spool import Spool

    spool = Spool(tmp_path / "spool-beta")
    for one in results:
        spool.add(one)
    push(spool, place.git, "origin", client_id="beta", executor_id="agent", author=Identity("a", "a@x"), now=NOW)


def test_a_siblings_proven_repair_is_shown_to_who_drafts_without_client_names(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    merged(place, job, tmp_path, *many(1, 3, 1, good=False))
    send(place, tmp_path, *many(40, 12, 2, good=True))
    sibling(place, tmp_path)
    at_beta = {"runbook_id": SIBLING, "client_id": "beta", "hostname": "mail-1"}
    send_as_beta(place, tmp_path, [run_of(90, 1, error=DAMAGED.replace("web-1", "mail-1"), **at_beta)])
    asked = Scripted([RESTORE])
    learned = pipeline.learn(replace(with_settings(at(job, 5), patterns=False), proposers=(asked,)))
    (shown,) = asked.briefs[0].siblings
    assert (shown.ref, shown.near) == (f"{ID}-v2", "it failed with the same words")
    assert "+  - id: restore_table" in shown.diff
    assert "metadata" not in shown.diff
    from learner.proposals.prompt import prompt

    question = prompt(asked.briefs[0], "an-edge-of-data").user
    assert "A repair of another runbook" in question
    assert "acme" not in question
    assert dict(outcomes(learned))[f"{SIBLING}-v1"] == "proposed"


def test_of_equal_patterns_the_accepted_one_goes_first(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    from learner.proposals.acceptance import Acceptance
    from learner.proposals.patterns import PatternProposer, builtin
    from tests.proposals.examples import brief_of, failure_of, parent_of

    pattern = next(one for one in builtin() if one.id == "stale-pid-file")
    twin = pattern.model_copy(update={"id": "a-twin"})
    brief = brief_of(parent_of(pattern), failure_of(pattern, parent_of(pattern)))

    def first(accepted: dict[str, Acceptance]) -> str:
        draft = PatternProposer([pattern, twin], accepted).propose(brief)
        assert isinstance(draft, Draft)
        return draft.proposer

    assert first({}) == "patterns/a-twin"
    assert (
        first({"stale-pid-file": Acceptance(merged=3), "a-twin": Acceptance(merged=1, closed=4)})
        == "patterns/stale-pid-file"
    )
    assert first({"a-twin": Acceptance(merged=1)}) == "patterns/a-twin"


def test_acceptance_is_read_from_the_forge(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    send(place, tmp_path, stale(1))
    number = pipeline.learn(job).published[0].number
    merge(place, number)
    seen = pipeline.look(at(job, 5))
    scene = pipeline.scene_of(at(job, 5), seen)
    (known,) = scene.proposers
    assert known.acceptance["stale-pid-file"].merged == 1  # type: ignore[attr-defined]


def test_a_plan_of_follow_ups_is_trusted_in_nothing(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    merged(place, job, tmp_path, *many(1, 3, 1, good=False))
    send(place, tmp_path, *many(40, 12, 2, good=True))
    pipeline.fold(job.git, "origin", settings=job.settings.telemetry, author=LEARNER, now=NOW)
    plan = pipeline.plan(at(job, 5))
    held = json.loads(plan.model_dump_json())
    held["follow_ups"][0]["content"] = held["follow_ups"][0]["content"].replace("restore_file", "remove_file")
    with pytest.raises(Refused, match="not what follows"):
        pipeline.apply(at(job, 6), Plan.model_validate_json(json.dumps(held)))
    invented = FollowUp(kind="revert", runbook_id=ID, version=3, outcome="proposed", path="x", content="y")
    done = pipeline.apply(at(job, 6), plan.model_copy(update={"follow_ups": (invented,)}))
    assert [p.action for p in done.published] == ["left"]
    assert [p.action for p in pipeline.apply(at(job, 7), plan).published] == ["opened"]
    assert [p.action for p in pipeline.apply(at(job, 8), plan).published] == ["left"]


def test_a_broken_pattern_on_main_is_told_and_skipped(place: Place, job: pipeline.Job, tmp_path: Path) -> None:
    from learner.repository.git import Git

    theirs = Git(tmp_path / "seed")
    (tmp_path / "seed/runbooks/patterns").mkdir()
    (tmp_path / "seed/runbooks/patterns/broken.yaml").write_text("id: broken\n")
    theirs.run("add", "-A")
    theirs.run("commit", "-qm", "a pattern", env=DANA.environment())
    theirs.run("push", "-q", str(tmp_path / "runbooks.git"), "main")
    learned = pipeline.learn(job)
    assert [one.path for one in learned.skipped] == ["runbooks/patterns/broken.yaml"]


def test_what_verified_runs_show_is_proposed_where_it_is_asked_for(
    place: Place, job: pipeline.Job, tmp_path: Path
) -> None:
    step = result().executed_steps[0].model_dump(mode="json") | {"success": True, "error": "", "exit_code": 0}
    v1 = place.git.run("cat-file", "blob", f"origin/main:runbooks/linux/{ID}.yaml").decode()
    put(place, tmp_path, v1.replace("timeout_seconds: 20\n", "timeout_seconds: 20\n    retry: {attempts: 3}\n"))
    send(place, tmp_path, *many(1, 12, 1, good=True, executed_steps=[step | {"attempts": 2}]))
    assert pipeline.learn(job).plan.follow_ups == (), "it is off by default"
    willing = with_settings(at(job, 5), optimisations=True, optimisation_min_runs=12)
    learned = pipeline.learn(willing)
    assert ups(learned) == [("optimisation", f"{ID}-v2", "proposed")]
    pull = place.gateway().pulls("learner/")[-1]
    assert set(pull.labels) == {"learner", "runbook-improvement", "optimisation", "priority:low"}
    assert "**Nothing failed.**" in pull.body
    again = pipeline.learn(with_settings(at(job, 6), optimisations=True, optimisation_min_runs=12))
    assert again.did_nothing
    dana = place.person()
    dana.reject(dana.pull(pull.number), "not-worth-it", "Four seconds are four seconds.")
    closed = pipeline.learn(with_settings(at(job, 7), optimisations=True, optimisation_min_runs=12))
    assert [up.reason.split(":")[0] for up in closed.plan.follow_ups] == ["rejected_before"]
    hops = journey.of_runbook(journey.look(with_settings(at(job, 8), optimisations=True, optimisation_min_runs=12)), ID)
    assert [hop.mark for hop in hops if hop.name == "habit"] == ["stopped"]


def put(place: Place, tmp_path: Path, text: str) -> None:
    """A runbook's text on main, by a person."""
    from learner.repository.git import Git

    theirs = Git(tmp_path / "seed")
    (tmp_path / f"seed/runbooks/linux/{ID}.yaml").write_text(text)
    theirs.run("commit", "-qam", "by hand", env=DANA.environment())
    theirs.run("push", "-q", str(tmp_path / "runbooks.git"), "main")
