"""The failure cases: `cases/<family>.yaml`, read into runbooks, recorded results and what is expected.

There are six sets. The first stands right in `cases/` and is what the learner was built against; the others, in folders
of their own, were each written without a look at how the learner decides. What it missed of them at first sight is told
in `docs/measured.md`; since then their causes were learned from, so they are no longer unseen.

A case holds a runbook, one or more failures of it (`runs`), verified successes where a contrast matters, the right
failure type, and for what a better runbook can repair the signs of a good repair (`good`, alternatives of which one must
hold) and one such repair (`fix`, in the operations of a `RunbookEdit`). A run says what its steps `did` and what its
`checks` saw, by their ids; actions and parameters are rendered from the runbook. `also` repeats a run on other hosts,
with texts swapped.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from learner import template
from learner.errors import LearnerError

FOLDER = Path(__file__).parent / "cases"
FIRST = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
IMPROVABLE = frozenset({"runbook_insufficient", "environment_difference"})
NO_FAILURE = "none"
SETS: Mapping[str, Path] = {
    "first": FOLDER,
    **{name: FOLDER / name for name in ("second", "third", "fourth", "fifth", "sixth")},
}
_SHORT = {"linux": "LIN", "windows": "WIN", "darwin": "MAC"}


@dataclass(frozen=True)
class Cause:
    """Failures of one runbook that have one cause, and what should become of them."""

    types: tuple[str, ...]
    """The right failure types, most fitting first; `none` where nothing failed."""
    propose: bool
    executions: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One runbook, what was recorded of it, and what is expected."""

    name: str
    """`<family>/<name>`, of which there is one in all sets."""
    about: str
    runbook: bytes
    results: tuple[dict[str, Any], ...]
    causes: tuple[Cause, ...]
    good: tuple[dict[str, Any], ...] = ()
    fix: tuple[dict[str, Any], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Those of the first run."""
    set: str = "first"
    """Which of the `SETS` it belongs to."""

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    @property
    def propose(self) -> bool:
        return any(cause.propose for cause in self.causes)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """A folder of runbooks and a file of results, as `learner learn --runbooks … --telemetry …` reads them."""
        runbooks, telemetry = folder / "runbooks", folder / "results.jsonl"
        runbooks.mkdir(parents=True)
        (runbooks / "runbook.yaml").write_bytes(self.runbook)
        telemetry.write_text("".join(json.dumps(result, ensure_ascii=False) + "\n" for result in self.results))
        return runbooks, telemetry


@lru_cache(maxsize=4)
def all_cases(which: str = "all") -> tuple[Case, ...]:
    """Every case of a set, or of `all`, by set, by family and in the order of its file."""
    found: list[Case] = []
    for name, folder in SETS.items():
        found += cases_in(folder, name, len(found))
    return tuple(case for case in found if which in ("all", case.set))


def cases_in(folder: Path, which: str, start: int = 0) -> tuple[Case, ...]:
    """The cases of one folder as the set `which`, numbered from `start` + 1.

    Raises: `LearnerError` when the folder holds none.
    """
    raws = [(path.stem, raw) for path in sorted(folder.glob("*.yaml")) for raw in yaml.safe_load(path.read_text())]
    if not raws:
        raise LearnerError(f"there are no cases in {folder}", "name a folder of <family>.yaml files with cases in them")
    return tuple(_case(which, family, raw, number) for number, (family, raw) in enumerate(raws, start + 1))


def _case(which: str, family: str, raw: Mapping[str, Any], number: int) -> Case:
    runbook = _runbook(family, raw, number)
    results: list[dict[str, Any]] = []
    causes = []
    for run in raw["runs"]:
        types = run.get("type", raw["type"])
        types = tuple([types] if isinstance(types, str) else types)
        propose = run.get("propose", raw.get("propose", types[0] in IMPROVABLE))
        made = list(_results(raw, run, runbook, number, len(results)))
        results += made
        causes.append(Cause(types, propose, tuple(one["execution_id"] for one in made)))
    parameters = results[0]["parameters"]
    for run in raw.get("successes", ()):
        results += _results(raw, run, runbook, number, len(results))
    text = yaml.safe_dump(copy.deepcopy(runbook), sort_keys=False, allow_unicode=True, width=110)
    return Case(
        name=f"{family}/{raw['name']}",
        about=raw["about"],
        runbook=text.encode(),
        results=tuple(results),
        causes=tuple(causes),
        good=tuple(raw.get("good", ())),
        fix=tuple(raw.get("fix", ())),
        parameters=parameters,
        set=which,
    )


def _runbook(family: str, raw: Mapping[str, Any], number: int) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(
        json.dumps(raw["runbook"])
    )  # an alias in the file must not become one in the runbook
    words = raw["name"].replace("-", " ")
    platform: str = given.get("platform", "linux")
    head = {
        "id": f"RB-{_SHORT[platform]}-{family.upper()}-{number:03d}",
        "version": 1,
        "name": words.capitalize(),
        "description": f"For incidents of the kind {raw['incident']}.",
        "platform": platform,
        "incident_types": [raw["incident"]],
    }
    return head | given


def _results(
    raw: Mapping[str, Any], run: Mapping[str, Any], runbook: Mapping[str, Any], number: int, start: int
) -> Iterator[dict[str, Any]]:
    for at, variant in enumerate([{"host": run["host"]}, *run.get("also", ())], start):
        text = json.dumps({key: value for key, value in run.items() if key != "also"})
        for old, new in variant.get("swap", {}).items():
            text = text.replace(old, new)
        yield _result(raw, json.loads(text) | {"host": variant["host"]}, runbook, number, at)


def _result(
    raw: Mapping[str, Any], run: Mapping[str, Any], runbook: Mapping[str, Any], number: int, at: int
) -> dict[str, Any]:
    hostname, client, os_id, os_version, manager = run["host"].split()
    platform: str = runbook["platform"]
    execution_id = f"exec-20261102-B{number:03d}R{at:02d}"
    began = FIRST + timedelta(hours=7 * at, minutes=number)
    host = {"os_id": os_id, "os_version": os_version, "arch": "x86_64", "service_manager": manager}
    defaults = {name: of["default"] for name, of in runbook.get("parameters", {}).items() if "default" in of}
    parameters = defaults | run.get("parameters", {})
    before = run.get("before", {})
    incident = {"incident_type": raw["incident"], "incident_id": f"INC-{number}{at:02d}", "client_id": client}
    steps: dict[str, Any] = {}
    scope = {
        **parameters,
        "state": before,
        "incident": incident,
        "host": {"name": hostname, "platform": platform, **host},
        "steps": steps,
    }
    now, executed, error, error_step = began, [], None, None
    phases = [(phase, step) for phase, key in _PHASES for step in runbook.get(key, ())]
    for step_number, (phase, step) in enumerate(phases, 1):
        if step["id"] not in run["did"]:
            continue
        did = run["did"][step["id"]]
        did = {} if did == "skipped" else {"output": did} if isinstance(did, str) else did
        skipped = run["did"][step["id"]] == "skipped"
        seconds = 0.0 if skipped else float(did.get("seconds", 0.4))
        record = {
            "step_number": step_number,
            "step_id": step["id"],
            "phase": phase,
            "action": step["action"],
            "params": _rendered(step.get("params", {}), scope),
            "started_at": _time(now),
            "completed_at": _time(now + timedelta(seconds=seconds)),
            "duration_seconds": seconds,
            "success": "error" not in did,
            "skipped": skipped,
            "attempts": 0 if skipped else did.get("attempts", 1),
            "output": did.get("output", ""),
            "error": did.get("error", ""),
            "exit_code": did.get("exit_code"),
            "data": did.get("data", {}),
            "timed_out": did.get("timed_out", False),
        }
        steps[step["id"]] = {"success": record["success"], "stdout": record["output"], "exit_code": record["exit_code"],
                             "data": record["data"]}  # fmt: skip
        executed.append(record)
        now += timedelta(seconds=seconds)
        if not record["success"] and step.get("on_failure", "abort") != "continue":
            error, error_step = record["error"], step_number
    checks = []
    for claim in runbook["verification"]:
        if claim["id"] in run.get("checks", {}):
            seen = run["checks"][claim["id"]]
            checks.append({"id": claim["id"], "check": claim["check"], "params": _rendered(claim.get("params", {}), scope),
                           "passed": seen["passed"], "observed": seen["observed"], "waited_seconds": seen.get("waited", 0)})  # fmt: skip
            now += timedelta(seconds=seen.get("waited", 0))
    verdicts = [check["passed"] for check in checks]
    verified = False if False in verdicts else True if verdicts and None not in verdicts else None
    if error is None and verified is False:
        bad = next(check for check in checks if check["passed"] is False)
        error = f"verification {bad['id']} ({bad['check']}): {_words(bad['observed'])}"
    worked = error is None
    document = {
        "schema_version": "1.0",
        "execution_id": execution_id,
        "runbook_id": runbook["id"],
        "runbook_version": 1,
        "incident_id": incident["incident_id"],
        "incident_type": raw["incident"],
        "client_id": client,
        "hostname": hostname,
        "platform": platform,
        "host": host,
        "parameters": parameters,
        "started_at": _time(began),
        "completed_at": _time(now + timedelta(seconds=0.5)),
        "status": "success" if worked else "failure",
        "success": worked,
        "verification_passed": verified,
        "state_before": {"hostname": hostname, "platform": platform, "captured_at": _time(began), **before},
        "state_after": {
            "hostname": hostname,
            "platform": platform,
            "captured_at": _time(now),
            **run.get("after", before),
        },
        "executed_steps": executed,
        "checks": checks,
        "error_message": error,
        "error_step": error_step,
        "evidence_bundle_id": f"ev-{execution_id}",
        "executor": {"id": f"{hostname}-agent", "name": "learner", "version": "0.1.0"},
    }
    more: dict[str, Any] = run.get("more", {})
    if more.get("status", document["status"]) != "success":
        document["success"] = False
    return document | more


_PHASES = (("step", "steps"), ("rollback", "rollback"), ("finally", "finally"))


def _rendered(params: Any, scope: Mapping[str, Any]) -> Any:
    try:
        return template.render(params, scope)
    except LearnerError:
        return params


def _words(observed: Any) -> str:
    if isinstance(observed, dict) and len(observed) == 1:
        return _words(next(iter(observed.values())))
    return observed if isinstance(observed, str) else json.dumps(observed, ensure_ascii=False)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
