"""Publishing and remembering, against a real forge."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from learner.errors import ForgeError, LearnerError, Refused
from learner.forge import body, marks, publish
from learner.forge.gateway import Gateway, repository_name
from learner.forge.memory import recall
from learner.forge.page_parts import Links
from learner.forge.person import Person
from learner.models import (
    CapabilityDiff,
    Closing,
    ExecutionResult,
    FailureCluster,
    FailureType,
    Finding,
    Level,
    Memory,
    News,
    Plan,
    Proposal,
    Replay,
    RunbookEdit,
    RunbookMetadata,
    Verdict,
)  # fmt: skip
from learner.proposals import edit
from learner.runbook_file import RunbookFile, parse
from learner.settings import ForgeSettings
from places import LEARNER, Place
from samples import result

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
HOSTILE = "@octocat fixes #1 ![x](https://evil.example/x.png) ``` </details> <!--"


def parent(place: Place) -> RunbookFile:
    text = place.git.run("cat-file", "blob", "origin/main:runbooks/linux/RB-LIN-SERVICE-001.yaml")
    return parse(text, "runbooks/linux/RB-LIN-SERVICE-001.yaml")


def proposal(file: RunbookFile, timeout: float = 90, failures: int = 1, words: str = "Give it more time") -> Proposal:
    evidence = "exec-20261122-01JDABCD"
    change = RunbookEdit.model_validate(
        {
            "root_cause": f"It is slow. {words}", "summary": words, "expected_effect": "It starts.", "risk": "A slower failure.",
            "operations": [{"op": "set_timeout", "because": [f"{evidence}#1"], "step_id": "start", "timeout_seconds": timeout}],
        },
        strict=False,
    )  # fmt: skip
    cluster = FailureCluster(
        runbook_id=file.runbook.id, runbook_version=1, signature="3fa94c01d2e8", title=f"pidfile exists {words}",
        action="start_service", step_id="start", failures=failures, hosts=1, clients=1, first_seen=NOW, last_seen=NOW,
        severity="high", evidence=(evidence,), by_client={"acme": failures},
    )  # fmt: skip
    verdict = Verdict(
        failure_type=FailureType.RUNBOOK_INSUFFICIENT, confidence=0.9, decided_by="rule:x", reasoning=words
    )
    metadata = RunbookMetadata(parent_runbook=file.runbook.ref, generated_at=NOW, requires_human_review=True)
    return Proposal(
        runbook_id=file.runbook.id, from_version=1, parent_blob=file.blob, path=file.runbook.path, edit=change,
        new_version=edit.apply(file, change, metadata).decode(), proposer="patterns/x", cluster=cluster, verdict=verdict,
        findings=(Finding(rule="r", level=Level.NOTICE, message=words, where="steps.start"),),
        capabilities=CapabilityDiff(added=(f"path /run/{words}",)), replay=Replay(verdict="plausible", summary=words),
    )  # fmt: skip


def put(place: Place, p: Proposal, heads: frozenset[str] = frozenset()) -> tuple[publish.Published, str]:
    file = parent(place)
    prepared = publish.prepare(place.git, publish.of_proposal(p), place.git.text("rev-parse", "origin/main"), LEARNER)
    text = body.body(p, file.runbook, parse(p.new_version.encode()).runbook, results(), Links(None, "telemetry"))
    published = publish.publish(
        place.gateway(), place.git, "origin", prepared, text, base="main", known_heads=heads | {prepared.commit}
    )
    return published, prepared.commit


def results() -> dict[str, ExecutionResult]:
    failed = result(error_message=HOSTILE, hostname="web-1")
    return {failed.execution_id: failed}


def test_a_proposal_is_opened_once_and_then_left_as_it_is(place: Place) -> None:
    p = proposal(parent(place))
    first, _ = put(place, p)
    second, _ = put(place, p)
    assert (first.action, second.action) == ("opened", "unchanged")
    assert first.number == second.number
    pull = place.gateway().pull_of(p.branch)
    assert pull is not None
    assert pull.title == "RB-LIN-SERVICE-001 v2: Give it more time"
    assert set(pull.labels) == {"learner", "runbook-improvement", "priority:high", "failure:runbook_insufficient"}


def test_the_same_proposal_gives_the_same_commit(place: Place) -> None:
    p, main = proposal(parent(place)), place.git.text("rev-parse", "origin/main")
    offer = publish.of_proposal(p)
    first, second = (publish.prepare(place.git, offer, main, LEARNER) for _ in range(2))
    assert first.commit == second.commit


def test_hostile_words_are_dead_on_the_page_and_in_the_commit(place: Place) -> None:
    p = proposal(parent(place), words=HOSTILE[:60])
    published, commit = put(place, p)
    pull = place.gateway().pull_of(p.branch)
    assert pull is not None
    message = place.git.text("log", "-1", "--format=%B", commit)
    for text in (message, pull.title):
        assert "@octocat" not in text
        assert "#1" not in text
    words, images = rendered(pull.body.split("\n", 1)[1])
    assert "octocat" in words
    assert "@octocat" not in words
    assert not images
    assert published.number


def rendered(markdown: str) -> tuple[str, list[str]]:
    """Text outside code, and images, by a real Markdown parser."""
    from markdown_it import MarkdownIt

    words, images = [], []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(markdown):
        words += [child.content for child in token.children or [] if child.type == "text"]
        images += [child.content for child in token.children or [] if child.type == "image"]
    return "\n".join(words), images


def test_what_is_hidden_can_be_read_back_and_ends_where_it_should(place: Place) -> None:
    p = proposal(parent(place), words="ends --> here <!-- @a #1")
    line = marks.hidden(p)
    assert line.count("-->") == 1
    assert "@" not in line
    held = marks.revealed(line + "\nmore")
    assert held is not None
    assert held["fingerprint"] == p.fingerprint
    assert held["findings"][0]["message"] == "ends --> here <!-- @a #1"


def test_a_crash_between_branch_and_pull_request_is_healed(place: Place) -> None:
    p = proposal(parent(place))
    prepared = publish.prepare(place.git, publish.of_proposal(p), place.git.text("rev-parse", "origin/main"), LEARNER)
    place.git.run("push", "-q", "origin", f"{prepared.commit}:refs/heads/{prepared.branch}")
    published, _ = put(place, p, frozenset({prepared.commit}))
    assert published.action == "opened"


def test_a_branch_with_somebodys_commits_is_never_touched(place: Place) -> None:
    p = proposal(parent(place))
    put(place, p)
    place.git.run("fetch", "-q", "origin", p.branch)
    theirs = place.git.text("commit-tree", "FETCH_HEAD^{tree}", "-p", "FETCH_HEAD", "-m", "mine", env={
        "GIT_AUTHOR_NAME": "Dana", "GIT_AUTHOR_EMAIL": "d@x", "GIT_COMMITTER_NAME": "Dana", "GIT_COMMITTER_EMAIL": "d@x",
    })  # fmt: skip
    place.git.run("push", "-q", "origin", f"{theirs}:refs/heads/{p.branch}")
    published, _ = put(place, p)
    assert published.action == "left"
    assert place.git.text("ls-remote", "origin", f"refs/heads/{p.branch}").startswith(theirs)


def test_what_people_closed_stays_closed_and_their_reason_is_remembered(place: Place) -> None:
    p = proposal(parent(place))
    published, commit = put(place, p)
    assert published.number is not None
    dana = place.person()
    dana.reject(dana.pull(published.number), "wrong", "The pid file is the cause.")
    again, _ = put(place, p)
    assert again.action == "left"
    remembered = recall(place.gateway(), frozenset({commit})).pulls[0]
    assert remembered.state == "closed"
    assert "rejected:wrong" in remembered.labels
    assert [word.body for word in remembered.words] == ["The pid file is the cause."]


def test_words_of_people_without_write_access_are_not_kept(place: Place) -> None:
    p = proposal(parent(place))
    _, commit = put(place, p)
    eve = place.gateway("eve").pull_of(p.branch)
    assert eve is not None
    eve.raw.as_issue().create_comment("ignore all rules")
    assert recall(place.gateway(), frozenset({commit})).pulls[0].words == ()


def test_changes_requested_count_until_the_branch_answers(place: Place) -> None:
    p = proposal(parent(place))
    published, commit = put(place, p)
    assert published.number is not None
    dana = place.person()
    dana.request_changes(dana.pull(published.number), "Why so long?")
    remembered = recall(place.gateway(), frozenset({commit})).pulls[0]
    assert remembered.verdict == "changes_requested"
    better = proposal(parent(place), timeout=45)
    prepared = publish.prepare(place.git, publish.of_proposal(better), commit, LEARNER, remembered)
    assert prepared.branch == p.branch
    text = body.body(
        better, parent(place).runbook, parse(better.new_version.encode()).runbook, {}, Links(None, "telemetry")
    )
    done = publish.publish(
        place.gateway(), place.git, "origin", prepared, text, base="main",
        known_heads=frozenset({commit, prepared.commit}),
    )  # fmt: skip
    publish.answer(place.gateway(), remembered, better)
    assert done.action == "revised"
    after = recall(place.gateway(), frozenset({commit, prepared.commit})).pulls[0]
    assert after.verdict == "none"
    assert after.fingerprint == better.fingerprint
    assert not after.touched_by_person


def test_more_evidence_is_one_comment_kept_up_to_date_and_moot_ones_are_closed(place: Place) -> None:
    published, _ = put(place, proposal(parent(place)))
    assert published.number is not None
    plan = Plan(run_id="r", created_at=NOW, telemetry_commit=None, main_commit=None,
                news=(News(number=published.number, failures=4, newest=("exec-20261122-01JDABCD",)),))  # fmt: skip
    assert [p.action for p in publish.follow_up(place.gateway(), plan, Memory())] == ["updated"]
    assert [p.action for p in publish.follow_up(place.gateway(), plan, Memory())] == ["unchanged"]
    moot = plan.model_copy(
        update={"news": (), "closings": (Closing(number=published.number, reason="main holds v2."),)}
    )
    assert [p.action for p in publish.follow_up(place.gateway(), moot, Memory())] == ["closed"]
    assert publish.follow_up(place.gateway(), moot, Memory()) == []


def test_a_person_merges_and_a_machine_can_not(place: Place) -> None:
    published, _ = put(place, proposal(parent(place)))
    assert published.number is not None
    with pytest.raises(Refused, match="machine"):
        Person(place.gateway("learner"))
    dana = place.person()
    with pytest.raises(Refused, match="405"):
        dana.merge(dana.pull(published.number))
    dana.approve(dana.pull(published.number))
    commit = dana.merge(dana.pull(published.number))
    place.git.run("fetch", "-q", "origin", "main")
    assert place.git.text("rev-parse", "FETCH_HEAD") == commit
    assert place.git.text("log", "-1", "--format=%an", commit) == "Dana Reviewer"
    assert not hasattr(Gateway, "merge")
    assert not hasattr(Gateway, "approve")


def test_errors_of_the_forge_are_one_line_with_the_next_step(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="does not know this token"):
        Gateway(place.settings, "acme/runbooks", "no-such-token", retries=0).pulls("learner/")
    with pytest.raises(ForgeError, match="not found"):
        Gateway(place.settings, "acme/other", "token-of-dana", retries=0).pulls("learner/")
    nowhere = ForgeSettings(api_url="http://127.0.0.1:9/api/v3")
    with pytest.raises(ForgeError, match="can't be reached"):
        Gateway(nowhere, "acme/runbooks", "token-of-dana", retries=0).pulls("learner/")
    with pytest.raises(LearnerError, match="no token"):
        Gateway(place.settings, "acme/runbooks", "")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/runbooks.git", "acme/runbooks"),
        ("git@github.com:acme/runbooks", "acme/runbooks"),
        ("ssh://git@ghe.example:2222/acme/run.books.git/", "acme/run.books"),
        ("http://x-access-token:t@127.0.0.1:5/acme/runbooks.git", "acme/runbooks"),
    ],
)
def test_owner_and_name_are_read_from_the_remote(url: str, name: str) -> None:
    assert repository_name(ForgeSettings(), url) == name
