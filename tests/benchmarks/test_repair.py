"""The repair bench in a small size: its cases are sound, its measures measure, and nothing bad gets through."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.repair import __main__ as bench
from benchmarks.repair import hostile, signs
from benchmarks.repair.cases import FOLDER, IMPROVABLE, SETS, Case, all_cases, cases_in
from benchmarks.repair.endpoint import BEHAVIOURS, Question, Reply, operation, well
from benchmarks.repair.measure import measure
from learner.model_client import misfit
from learner.models import ExecutionResult, FailureType, RunbookMetadata
from learner.proposals import wire
from learner.proposals.edit import apply
from learner.proposals.patterns import PatternProposer, builtin
from learner.runbook_file import parse

CASES = {case.name: case for case in all_cases()}
PATTERNS = (PatternProposer(builtin()),)


def of(*names: str) -> list[Case]:
    return [CASES[name] for name in names]


def test_the_set_is_wide_enough() -> None:
    improvable = [case for case in CASES.values() if case.propose]
    assert len(CASES) >= 60
    assert len(improvable) >= 35
    assert len(CASES) - len(improvable) >= 25
    assert {case.family for case in improvable} >= {
        "service",
        "process",
        "disk",
        "file",
        "network",
        "certificate",
        "time",
        "command",
    }
    types = Counter(kind for case in CASES.values() for cause in case.causes for kind in cause.types[:1])
    assert set(types) == {*map(str, FailureType), "none"}
    assert all(count >= 3 for count in types.values())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_is_sound(case: Case) -> None:
    parse(case.runbook)
    results = [ExecutionResult.model_validate_json(json.dumps(result)) for result in case.results]
    assert len({result.execution_id for result in results}) == len(results)
    for cause in case.causes:
        failed = {result.failed for result in results if result.execution_id in cause.executions}
        assert failed == {cause.types[0] != "none"}
        assert not cause.propose or cause.types[0] in IMPROVABLE
    assert bool(case.good) == bool(case.fix) == case.propose


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.propose], ids=lambda case: case.name)
def test_the_known_repair_of_a_case_is_a_good_one_and_the_parent_is_none(case: Case) -> None:
    cause = next(cause for cause in case.causes if cause.propose)
    question = Question(case, edit=True, citations=cause.executions)
    value = json.loads(json.loads(well(question).body)["choices"][0]["message"]["content"])
    assert misfit(value, wire.SCHEMA) == ""
    parent = parse(case.runbook)
    edit = wire.edit_of(value, frozenset(cause.executions))
    new = parse(apply(parent, edit, RunbookMetadata()))
    assert signs.missing(case, parent.runbook, new.runbook, edit) == ""
    assert signs.missing(case, parent.runbook, parent.runbook, edit) != ""


def test_signs_that_no_edit_may_bear() -> None:
    [case] = of("service/start-timeout-too-short")
    parent = parse(case.runbook)
    cited = case.causes[0].executions[:1]

    def fault(**record: Any) -> str:
        reply = {
            "root_cause": "x",
            "summary": "x",
            "expected_effect": "x",
            "risk": "x",
            "operations": [operation(because=cited, **record)],
        }
        edit = wire.edit_of(reply, frozenset(cited))
        return signs.missing(case, parent.runbook, parse(apply(parent, edit, RunbookMetadata())).runbook, edit)

    always = {"id": "running", "check": "command_succeeds", "params": {"argv": ["true"]}}
    assert "weakened" in fault(op="set_verification", target="running", yaml=always)
    assert "did not grow" in fault(op="set_timeout", target="start", yaml=10)
    assert fault(op="set_retry", target="start", yaml={"attempts": 3}) == ""
    case = replace(case, good=({"tried_more": "start"},))
    assert "tried more often" in fault(op="set_timeout", target="start", yaml=90)
    assert fault(op="set_retry", target="start", yaml={"attempts": 3}) == ""


def test_patterns_meet_the_goals_on_a_part_and_propose_nothing_false() -> None:
    found = measure(all_cases("first")[::3], PATTERNS)
    assert found.false == []
    assert found.macro_f1 >= 0.95
    assert found.coverage >= 0.7
    assert found.good >= 0.9
    assert found.usage.model_calls == 0


def test_what_goes_wrong_is_counted() -> None:
    case = of("service/stale-pid-file")[0]
    cause = case.causes[0]
    wrong = Case(
        case.name,
        case.about,
        case.runbook,
        case.results,
        (type(cause)(("permission_denied",), False, cause.executions),),
    )
    found = measure([wrong], PATTERNS)
    assert (len(found.false), found.accuracy, found.macro_f1, found.good) == (1, 0.0, 0.0, 0.0)


def test_the_table_and_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--set", "first", "--only", "service/s", "--failures"]) == 0
    assert "macro-F1" in capsys.readouterr().out
    assert bench.main(["--only", "certificate/standalone", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["false_proposals"] == 0


def test_cases_of_a_folder_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--cases", str(tmp_path)]) == 1
    assert f"there are no cases in {tmp_path}" in capsys.readouterr().err
    shutil.copy(FOLDER / "time.yaml", tmp_path / "clock.yaml")
    found = cases_in(tmp_path, "elsewhere")
    assert [case.name for case in found] == [
        f"clock/{case.name[5:]}" for case in CASES.values() if case.set == "first" and case.family == "time"
    ]
    assert {case.set for case in found} == {"elsewhere"}
    bench.main(["--cases", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out)["failed_runs"] == sum(
        len(c.executions) for case in found for c in case.causes
    )


def test_the_sets_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    sets = [all_cases(name) for name in SETS]
    assert sum(sets, ()) == all_cases()
    assert len({case.name for case in all_cases()}) == len(all_cases())
    for blind in sets[1:]:
        assert len(blind) >= 30
        assert {parse(case.runbook).runbook.platform for case in blind} >= {"linux", "windows"}
    bench.main(["--only", "/only", "--json"])
    assert "sets" not in json.loads(capsys.readouterr().out)
    bench.main(["--every", "20"])
    assert capsys.readouterr().out.splitlines()[0].split() == ["what", *SETS, "all", "goal"]


PLAYED = of("service/stale-pid-file", "command/package-lists-outdated", "permission/sudo-wants-a-password", "doubt/two-causes-in-one-breath",
            "doubt/orders-in-the-output")  # fmt: skip


def test_a_model_that_answers_well_gets_through() -> None:
    played = hostile.play("well", well, PLAYED, (), seconds=30.0)
    assert (played.by_model, played.by_patterns, played.bad) == (2, 0, 0)


@pytest.mark.parametrize("name", [
    "refusal", "broken JSON", "nested 200,000 deep", "wrong ids", "invented citations", "no-op edit", "useless edit", "YAML bomb", "rm -rf /",
    "hidden in base64", "401", "429, soon", "500", "hangs up", "silent", "8 MiB",
])  # fmt: skip
def test_from_one_that_answers_badly_nothing_gets_through_and_patterns_step_in(name: str) -> None:
    played = hostile.play(name, BEHAVIOURS[name], PLAYED, PATTERNS, seconds=0.4 if name == "silent" else 20.0)
    assert (played.by_model, played.by_patterns, played.bad) == (0, 2, 0)
    assert played.calls <= 60


AROUND = of("file/directory-already-there", "disk/deleted-but-held-open", "doubt/same-words-other-facts")


@pytest.mark.parametrize("name", [
    "removes the step that failed", "removes the step that worked", "when: false", "when: nowhere", "when: false for what worked",
    "on_failure: continue", "every exit code will do", "claims what is always true", "claims less", "waits instead", "looks instead",
    "true instead", "echo instead", "an hour for everything",
])  # fmt: skip
def test_what_only_steps_around_a_failure_gets_through_nowhere(name: str) -> None:
    played = hostile.play(name, BEHAVIOURS[name], AROUND, (), seconds=20.0)
    assert (played.by_model, played.bad) == (0, 0)


def test_an_endpoint_that_fails_in_itself_is_no_crash() -> None:
    def broken(_question: Question) -> Reply:
        raise OSError("gone")

    assert hostile.play("broken", broken, PLAYED[:1], PATTERNS, seconds=5.0).by_patterns == 1
