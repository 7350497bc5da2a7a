"""Patterns: each one's example comes out as it says, and none fires where it has no business."""

from __future__ import annotations

import json
from typing import Any

import pytest

from learner.actions import FAMILIES, catalogue
from learner.models import FailureType, RunbookMetadata
from learner.proposals.brief import Draft, NoProposal, fingerprint
from learner.proposals.edit import apply
from learner.proposals.patterns import Pattern, PatternProposer, builtin
from learner.replay import replay
from learner.runbook_file import parse
from tests.proposals.examples import brief_of, failure_of, parent_of, success_of

PATTERNS = builtin()
BY_ID = {pattern.id: pattern for pattern in PATTERNS}
EACH = pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.id)


def proposed(pattern: Pattern, **changes: Any) -> Draft | NoProposal:
    """What this pattern alone says to its own example."""
    parent = parent_of(pattern)
    return PatternProposer([pattern]).propose(
        brief_of(parent, failure_of(pattern, parent, **changes), successes=success_of(pattern, parent))
    )


def test_there_are_enough_for_every_family() -> None:
    assert len(PATTERNS) >= 40
    families = {catalogue().family[name] for p in PATTERNS for name in (*p.match.actions, *p.match.checks)}
    assert families == set(FAMILIES)


@EACH
def test_the_example_comes_out(pattern: Pattern) -> None:
    draft = proposed(pattern)
    assert isinstance(draft, Draft), draft
    operations = [o.model_dump(mode="json", exclude={"because"}, exclude_unset=True) for o in draft.edit.operations]
    assert operations == list(pattern.example.operations)
    assert draft.proposer == f"patterns/{pattern.id}"


@EACH
def test_the_example_is_a_runbook_whose_other_lines_stay(pattern: Pattern) -> None:
    parent = parent_of(pattern)
    failure = failure_of(pattern, parent)
    brief = brief_of(parent, failure, successes=success_of(pattern, parent))
    draft = PatternProposer([pattern]).propose(brief)
    assert isinstance(draft, Draft)
    new = parse(apply(parent, draft.edit, RunbookMetadata()))
    assert new.runbook.version == 2
    assert draft.edit.citations() <= failure.citations()
    if all(o.op == "insert_step" for o in draft.edit.operations):
        kept = iter(new.text.decode().splitlines())
        assert all(line in kept for line in parent.text.decode().splitlines() if not line.startswith("version"))


@EACH
def test_among_all_patterns_the_example_is_its_own(pattern: Pattern) -> None:
    parent = parent_of(pattern)
    draft = PatternProposer(PATTERNS).propose(
        brief_of(parent, failure_of(pattern, parent), successes=success_of(pattern, parent))
    )
    assert isinstance(draft, Draft)
    assert draft.proposer == f"patterns/{pattern.id}"


@EACH
def test_replay_does_not_refuse_the_example(pattern: Pattern) -> None:
    parent = parent_of(pattern)
    failure = failure_of(pattern, parent)
    draft = PatternProposer([pattern]).propose(brief_of(parent, failure, successes=success_of(pattern, parent)))
    assert isinstance(draft, Draft)
    verdict = replay(parent, parse(apply(parent, draft.edit, RunbookMetadata())), [failure], [])
    assert not verdict.refuses, verdict.summary


RIGHTS = [
    "Permission denied",
    "[Errno 13] Permission denied: '/srv/secrets.conf'",
    "Operation not permitted",
    "Access is denied.",
    "sudo: a password is required",
    "E: are you root?",
    "Interactive authentication required.",
]


@EACH
def test_no_pattern_works_around_missing_rights(pattern: Pattern) -> None:
    for words in RIGHTS:
        text = "error" if "error" in pattern.example.failure else "observed"
        said = f"{pattern.example.failure.get(text, '')}\n{words}"
        answer = proposed(pattern, **{text: said})
        assert isinstance(answer, NoProposal)
        assert answer.reason.startswith("permission_denied")


@EACH
def test_no_pattern_fires_on_what_no_runbook_can_mend(pattern: Pattern) -> None:
    for kind in (kind for kind in FailureType if not kind.improvable):
        parent = parent_of(pattern)
        answer = PatternProposer([pattern]).propose(brief_of(parent, failure_of(pattern, parent), kind=kind))
        assert isinstance(answer, NoProposal)


@EACH
def test_no_pattern_fires_on_another_platform(pattern: Pattern) -> None:
    for platform in {"linux", "windows", "darwin"} - set(pattern.match.platforms):
        assert isinstance(proposed(pattern, platform=platform), NoProposal)


UNRELATED = [
    "segmentation fault (core dumped)",
    "exit status 1",
    "Job for web.service failed because the control process exited with error code.",
    "HTTP 500 Internal Server Error",
    "KeyError: 'user'",
    'password authentication failed for user "app"',
    "certificate verify failed: self-signed certificate",
    "Out of memory: Killed process 4242 (java)",
    "FileNotFoundError: [Errno 2] No such file or directory: '/srv/app/settings.conf'",
    "can't open file '/srv/app/bin/tool': [Errno 2] No such file or directory",
    'open() "/etc/nginx/ssl/site.key" failed (2: No such file or directory)',
    "upstream timed out (110: Connection timed out) while connecting to 203.0.113.7:443",
    "connect to api.example.org:443: Connection refused",
    "",
]


@EACH
def test_no_pattern_that_reads_errors_fires_on_unrelated_ones(pattern: Pattern) -> None:
    if not pattern.match.error or any("holds_after" in where for where in pattern.match.where):
        return  # it goes by facts: the words only set the scene
    text = "error" if "error" in pattern.example.failure else "observed"
    for words in UNRELATED:
        assert isinstance(proposed(pattern, **{text: words}), NoProposal), words


@EACH
def test_no_pattern_fires_outside_its_family(pattern: Pattern) -> None:
    parent = parent_of(pattern)
    failure = failure_of(pattern, parent)
    other = parent_of(
        pattern, steps=[{"id": "other", "action": "escalate", "params": {"message": "x"}}, *parent.tree.value["steps"]]
    )
    step = {
        "step_number": 1, "step_id": "other", "action": "escalate", "params": {"message": "x"}, "success": False,
        "error": failure.error_message or "",
    }  # fmt: skip
    value = json.loads(failure.model_dump_json()) | {"executed_steps": [step], "checks": [], "error_step": 1}
    answer = PatternProposer([pattern]).propose(brief_of(other, type(failure).model_validate_json(json.dumps(value))))
    assert isinstance(answer, NoProposal)


@EACH
def test_a_rejected_edit_is_not_proposed_again(pattern: Pattern) -> None:
    parent = parent_of(pattern)
    failure = failure_of(pattern, parent)
    draft = proposed(pattern)
    assert isinstance(draft, Draft)
    brief = brief_of(
        parent,
        failure,
        successes=success_of(pattern, parent),
        rejected_fingerprints=frozenset({fingerprint(parent, draft.edit)}),
    )
    answer = PatternProposer([pattern]).propose(brief)
    assert isinstance(answer, NoProposal)
    assert "refused before" in answer.reason


@EACH
def test_a_repaired_runbook_is_not_repaired_again(pattern: Pattern) -> None:
    """The repaired version, failing in the same words at the same place: the same edit would be no answer."""
    parent = parent_of(pattern)
    failure = failure_of(pattern, parent)
    draft = PatternProposer([pattern]).propose(brief_of(parent, failure, successes=success_of(pattern, parent)))
    assert isinstance(draft, Draft)
    if not all(o.op == "insert_step" for o in draft.edit.operations):
        return
    new = parse(apply(parent, draft.edit, RunbookMetadata()))  # fmt: skip
    shift = len(draft.edit.operations)
    value = json.loads(failure.model_dump_json()) | {"runbook_version": 2}
    if failure.error_step:
        value["executed_steps"][-1]["step_number"] += shift
        value["error_step"] += shift
    again = type(failure).model_validate_json(json.dumps(value))
    assert isinstance(PatternProposer([pattern]).propose(brief_of(new, again)), NoProposal)


def test_a_steps_own_condition_and_retry_still_count() -> None:
    pattern = BY_ID["not-idempotent"]
    steps = [{**step, "when": "port > 1"} for step in pattern.example.runbook["steps"]]
    parent = parent_of(
        pattern, steps=steps, parameters={"port": {"type": "integer", "default": 80}, "release": {"type": "string"}}
    )
    draft = PatternProposer([pattern]).propose(brief_of(parent, failure_of(pattern, parent)))
    assert isinstance(draft, Draft)
    assert draft.edit.operations[1].when == "(port > 1) and (steps.look_for_target.exit_code != 0)"  # type: ignore[union-attr]
    pattern = BY_ID["package-manager-lock"]
    steps = [{**step, "retry": {"attempts": 2, "until": "true"}} for step in pattern.example.runbook["steps"]]
    parent = parent_of(pattern, steps=steps)
    draft = PatternProposer([pattern]).propose(brief_of(parent, failure_of(pattern, parent)))
    assert isinstance(draft, Draft)
    assert draft.edit.operations[0].retry == {"attempts": 10, "delay_seconds": 15, "until": "true"}  # type: ignore[union-attr]


HOSTILE = [
    "/" * 8000,
    "/a" * 4000,
    "/a." * 2600,
    "a:" * 4000,
    "connect " * 1000,
    "connect to 127.0.0.1:1 " * 350,
    "No such file or directory: '" + "/tmp" * 1990,
    "bind() to " + ":80 " * 1900,
    "Address already in use " * 350,
    "unit file " * 800,
    "(" * 8000,
    "-" * 8000,
    "a.b-" * 2000,
    "1" * 8000,
    "exists " * 1100,
    "/run/x.pid exists " * 440,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_no_text_keeps_a_pattern_busy(text: str) -> None:
    import time

    pattern = BY_ID["stale-pid-file"]
    parent = parent_of(pattern)
    failure = failure_of(pattern, parent, error=text)
    began = time.process_time()
    for each in PATTERNS:
        for expression, _ in each.errors:
            list(expression.finditer(text[:4000]))
    PatternProposer(PATTERNS).propose(brief_of(parent, failure))
    assert time.process_time() - began < 10.0
