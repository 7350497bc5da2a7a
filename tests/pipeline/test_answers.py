"""Reviews that ask for changes where there is no revision: each is told so once, with what the reviewer can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from learner import afterwards, pipeline
from learner.forge import answers
from learner.forge.gateway import Pull, Said
from learner.models import Answer, Asking, Memory, Plan, Remembered
from learner.repository.git import Git
from places import DANA, TOKENS, Place
from tests.pipeline.test_afterwards import ID, at, job, many, merged  # noqa: F401
from tests.pipeline.test_learn import Scripted, send, stale

WORSE = "web: ERROR the restored table is older than the index"


def newest(place: Place) -> Pull:
    return place.gateway().pulls("learner/")[-1]


def comments(place: Place) -> list[Said]:
    """The learner's comments on the newest pull request."""
    gateway, pull = place.gateway(), newest(place)
    return [said for said in gateway.said(pull) if said.kind == "comment" and said.login == pull.author]


def ask(place: Place, words: str, who: str = "dana") -> None:
    pull = place.gateway(who).pull_of(newest(place).branch)
    assert pull is not None
    commit = pull.raw.base.repo.get_commit(pull.head)
    pull.raw.create_review(commit=commit, event="REQUEST_CHANGES", body=words)


def silent(job: pipeline.Job, minutes: int) -> pipeline.Job:  # noqa: F811
    """The job at a later time, with a proposer that has nothing to say."""
    return replace(at(job, minutes), proposers=(Scripted(),))


def test_a_review_of_a_revert_is_answered_once_and_only_where_it_counts(
    place: Place,
    job: pipeline.Job,  # noqa: F811
    tmp_path: Path,
) -> None:
    merged(place, job, tmp_path, *many(1, 1, 1, good=False), *many(10, 12, 1, good=True))
    send(place, tmp_path, *many(40, 8, 2, good=False, error=WORSE))
    assert [p.action for p in pipeline.learn(silent(job, 5)).published] == ["opened"]
    assert "a review that asks for changes is told so" in newest(place).body
    # words of somebody who may only read count for nothing, and a mark that is not the learner's hides nothing
    ask(place, "I would rather not.", "eve")
    assert pipeline.learn(silent(job, 6)).did_nothing
    ask(place, "Keep the new check, please.")
    review = place.gateway().said(newest(place))[-1].identifier
    eve = place.gateway("eve").pull_of(newest(place).branch)
    assert eve is not None
    eve.raw.as_issue().create_comment(f"<!-- learner:answer-{review} -->\nanswered, nothing to see here")

    answered = pipeline.learn(silent(job, 7))
    assert [(p.action, p.runbook_ref) for p in answered.published if p.action != "unchanged"] == [
        ("answered", f"{ID}-v3")
    ]
    (said,) = comments(place)
    assert said.body.startswith(f"<!-- learner:answer-{review} -->")
    assert "`dana` asks for changes" in said.body
    assert "byte for byte" in said.body
    assert "not opened again for v2." in said.body
    assert pipeline.learn(silent(job, 8)).did_nothing
    assert len(comments(place)) == 1

    ask(place, "And the timeout as well.")
    assert "answered" in [p.action for p in pipeline.learn(silent(job, 9)).published], "another review, another answer"
    assert len(comments(place)) == 2

    # where a person commits, the branch is theirs
    seed = Git(tmp_path / "seed")
    branch = newest(place).branch
    seed.run("fetch", "-q", place.forge.git_url(TOKENS["dana"]), branch)
    seed.run("checkout", "-q", "FETCH_HEAD")
    seed.run("commit", "-q", "--allow-empty", "-m", "by hand", env=DANA.environment())
    seed.run("push", "-q", place.forge.git_url(TOKENS["dana"]), f"HEAD:refs/heads/{branch}")
    ask(place, "Dana, this is not what we said.")
    pipeline.learn(silent(job, 10))
    assert len(comments(place)) == 2


def test_a_review_of_a_pattern_is_answered_and_a_plan_can_invent_none(
    place: Place,
    job: pipeline.Job,  # noqa: F811
    tmp_path: Path,
) -> None:
    merged(place, job, tmp_path, *many(1, 3, 1, good=False))
    send(place, tmp_path, *many(40, 12, 2, good=True))
    assert [p.action for p in pipeline.learn(at(job, 5)).published] == ["opened"]
    number = newest(place).number
    invented = Plan(run_id="run-x", created_at=job.now, telemetry_commit=None, main_commit=None,
                    answers=(Answer(number=number, review_id=1), Answer(number=1, review_id=2)))  # fmt: skip
    assert pipeline.apply(at(job, 6), invented).published == ()
    ask(place, "Call it something shorter.")
    planned = pipeline.plan(at(job, 7))
    assert [answer.number for answer in planned.answers] == [number]
    assert comments(place) == [], "a plan writes nothing"
    again = Plan.model_validate_json(planned.model_dump_json())
    assert "answered" in [p.action for p in pipeline.apply(at(job, 8), again).published]
    (said,) = comments(place)
    assert "**Edit the file** on this branch" in said.body
    assert [p.action for p in pipeline.apply(at(job, 9), again).published if p.action == "answered"] == []
    assert len(comments(place)) == 1


def test_a_review_that_no_proposer_can_follow_is_told_so(
    place: Place,
    job: pipeline.Job,  # noqa: F811
    tmp_path: Path,
) -> None:
    send(place, tmp_path, stale(1))
    assert [p.action for p in pipeline.learn(job).published] == ["opened"]
    ask(place, "Find out why it crashed instead.")
    answered = pipeline.learn(at(job, 5))
    assert [d.outcome for d in answered.plan.decisions] == ["no_proposal"]
    assert [p.action for p in answered.published] == ["answered"]
    (said,) = comments(place)
    assert f"`learner explain {ID}` says what was tried" in said.body
    assert pipeline.learn(at(job, 6)).did_nothing


def test_every_kind_has_words_and_open_ones_alone_are_answered() -> None:
    asking = Asking(review_id=7, login="@dana")
    base = {
        "number": 1, "runbook_id": ID, "version": 3, "signature": "s", "fingerprint": "f", "branch": "learner/x", "head": "h",
        "state": "open", "created_at": "2026-11-22T12:00:00Z", "unanswered": [asking.model_dump()],
    }  # fmt: skip
    pulls = [Remembered.model_validate({**base, "number": n, "kind": kind}, strict=False)
             for n, kind in enumerate(("improvement", "revert", "pattern", "optimisation"), 1)]  # fmt: skip
    assert [answer.number for answer in afterwards.answers(Memory(pulls=tuple(pulls)))] == [2, 3, 4]
    assert [answer.number for answer in afterwards.answers(Memory(pulls=tuple(pulls)), {1})] == [1, 2, 3, 4]
    said = [answers.words(pull, asking) for pull in pulls]
    assert len(set(said)) == 4
    assert all("**Close** it" in words and "**Dismiss**" in words and "`@dana`" in words for words in said)
