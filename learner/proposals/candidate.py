"""A repair pattern out of one merged edit that proved better, so that what was learned once helps everywhere.

What the edit says of this one failure becomes a name: the failing step, its own parameters, and the paths, services
and ports that stand in its error. The rest of the error's words become the expression that must be found. A pattern is
offered only when it gives the very edit back on the failures it was made from; a person merges it like anything else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learner.errors import LearnerError
from learner.models import ExecutionResult, FailureCluster, FailureType, Step, Verdict
from learner.proposals.brief import Brief, Draft, failing, fingerprint
from learner.proposals.error_words import Expression, expression
from learner.proposals.merged import Improvement
from learner.proposals.patterns import Pattern, PatternProposer
from learner.proposals.patterns import load as load_patterns
from learner.proposals.patterns.proposer import situation
from learner.proposals.patterns.situation import Situation
from learner.proposals.siblings import without
from learner.strict import Json
from learner.template import EXPRESSION
from learner.yaml_text import block

FOLDER = "runbooks/patterns"
_ANCHORS = ("step_id", "before", "after")
_EXPRESSIONS = frozenset({"when", "until", "expression"})
_AS_WRITTEN = frozenset({"op", "id", "action", "check", "name", "why"})
_HOST = "a-host"


class NotGeneral(Exception):
    """No pattern can be made of this edit; the words say why."""


@dataclass(frozen=True)
class Candidate:
    """A pattern's file."""

    id: str
    text: str

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.id}.yaml"


def candidate(
    improvement: Improvement,
    failures: Sequence[ExecutionResult],
    known: Sequence[Pattern],
    clients: Collection[str],
) -> Candidate:
    """The pattern that `improvement` teaches. Its bytes depend on the edit, its parent and its evidence alone.

    Raises: `NotGeneral` when the edit speaks of this one runbook only, when a known pattern gives it already, or when
    the name of a client would stand in it.
    """
    brief = _brief(improvement, failures)
    wanted = fingerprint(improvement.parent, improvement.edit)
    draft = PatternProposer(known).propose(brief)
    if isinstance(draft, Draft) and fingerprint(improvement.parent, draft.edit) == wanted:
        raise NotGeneral(f"the pattern {draft.proposer.removeprefix('patterns/')} gives this edit already")
    places = [place for result in failures if (place := failing(result))]
    situations = [found for place in places if (found := situation(brief, place))]
    if not situations:
        raise NotGeneral("no recorded failure says which step or claim of the parent it is about")
    value = _Author(improvement, situations, clients).pattern()
    said = json.dumps(value, ensure_ascii=False)
    if named := [name for name in clients if without(said, [name]) != said]:
        raise NotGeneral(f"the name of a client stands in it ({len(named)} found)")
    text = _text(value, improvement)
    try:
        (pattern,) = load_patterns([(f"{value['id']}.yaml", text.encode())])
    except LearnerError as e:
        raise NotGeneral(f"it would be no valid pattern: {e.message}") from e
    again = PatternProposer([pattern]).propose(brief)
    if not isinstance(again, Draft):
        raise NotGeneral(f"it would not fire on its own failures: {again.reason}")
    if fingerprint(improvement.parent, again.edit) != wanted:
        raise NotGeneral("it would give another edit than the one that proved itself")
    return Candidate(pattern.id, text)


def _brief(improvement: Improvement, failures: Sequence[ExecutionResult]) -> Brief:
    if not failures:
        raise NotGeneral("the failures it was made from are no longer on record")
    runbook = improvement.parent.runbook
    cluster = FailureCluster(
        runbook_id=runbook.id, runbook_version=runbook.version, signature=improvement.signature or "none",
        title=improvement.title or "none", failures=len(failures), hosts=1, clients=1,
        first_seen=failures[0].started_at, last_seen=failures[-1].started_at,
        evidence=tuple(result.execution_id for result in failures),
    )  # fmt: skip
    verdict = Verdict(
        failure_type=FailureType.RUNBOOK_INSUFFICIENT, confidence=1.0, decided_by="merged", reasoning="it proved better"
    )
    return Brief(improvement.parent, cluster, verdict, tuple(failures))


class _Author:
    """Writes the pattern of one edit; `values` are the names that the error's expression captures."""

    def __init__(self, improvement: Improvement, situations: Sequence[Situation], clients: Collection[str]) -> None:
        self.improvement = improvement
        self.clients = clients
        self.situation = situations[0]
        self.part = self.situation.step or self.situation.claim
        own = list(self._own().values())
        operations = [
            operation.model_dump(mode="json", exclude={"because"}) for operation in improvement.edit.operations
        ]
        seen = [value for operation in operations for value in _leaves(operation) if value not in own]
        self.found: Expression | None = expression(situations, seen)
        if self.found is None:
            raise NotGeneral("the failures have too few words in common to know them by")

    def pattern(self) -> dict[str, Any]:
        assert self.part is not None
        assert self.found is not None
        edit, step = self.improvement.edit, self.situation.step
        operations = [
            self._operation(operation.model_dump(mode="json", exclude={"because"}, exclude_none=True))
            for operation in edit.operations
        ]
        kind = "actions" if step else "checks"
        name = step.action if step else self.situation.claim.check  # type: ignore[union-attr]
        value: dict[str, Any] = {
            "title": self._prose(edit.summary),
            "match": {kind: [name], "platforms": [self.situation.parent.platform], "error": [self.found.regex]},
        }
        if self.found.derived:
            value["let"] = {key: {"value": f"{of} | dirname", "kind": "path"} for key, of in self.found.derived.items()}
        value |= {
            "operations": operations,
            "root_cause": self._prose(edit.root_cause),
            "summary": self._prose(edit.summary),
            "expected_effect": self._prose(edit.expected_effect),
            "risk": self._prose(edit.risk),
            "example": self._example(),
        }
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]
        return {"id": f"learned-{name.replace('_', '-')}-{digest}", **value}

    def _operation(self, operation: dict[str, Json]) -> dict[str, Json]:
        assert self.part is not None
        if operation["op"] == "set_verification":
            claim = self.situation.claim
            if claim is None or operation["verification_id"] != claim.id:
                raise NotGeneral("it changes another claim than the one that failed")
            before = claim.model_dump(mode="json", exclude_unset=True)
            return {"op": "change_claim", **self._changed(before, operation["verification"])}
        if operation["op"] == "replace_step" and self.situation.step and operation["step_id"] == self.part.id:
            before = self.situation.step.model_dump(mode="json", exclude_unset=True)
            return {"op": "change_step", **self._changed(before, operation["step"])}
        if operation["op"] in ("add_parameter", "set_precondition", "remove_step", "move_step", "replace_step"):
            raise NotGeneral(f"{operation['op']} is about this one runbook")
        for key in _ANCHORS:
            if key in operation:
                operation = {**operation, key: self._anchor(str(operation[key]))}
        general = {key: item if key in _ANCHORS else self._general(key, item) for key, item in operation.items()}
        return _in_order(general)

    def _changed(self, before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
        if before.keys() - {"id"} - after.keys():
            raise NotGeneral("it takes a value away")
        return {key: self._general(key, item) for key, item in after.items() if before.get(key) != item and key != "id"}

    def _anchor(self, step_id: str) -> str:
        if self.situation.step is not None and step_id == self.situation.step.id:
            return "<<step>>"
        steps = self.situation.parent.steps
        action = next((step.action for step in steps if step.id == step_id), None)
        if action is None or sum(step.action == action for step in steps) != 1:
            raise NotGeneral(f"it is tied to the step {step_id}, which other runbooks don't have")
        return f"<<step_of.{action}>>"

    def _general(self, key: str, value: Json) -> Json:
        """A value with names in the place of what is this one failure's."""
        if isinstance(value, dict):
            return {k: self._general(k, item) for k, item in value.items()}
        if isinstance(value, list):
            return [self._general(key, item) for item in value]
        if key in _AS_WRITTEN and not (key == "name" and isinstance(value, str) and "{{" in value):
            return self._prose(value) if key == "why" and isinstance(value, str) else self._named(value)
        if key in _EXPRESSIONS and isinstance(value, str):
            return self._in_expression(value)
        if key.endswith("timeout_seconds") and value == self.situation.numbers.get("longer_timeout"):
            return "<<longer_timeout>>"
        if key == "within_seconds" and value == self.situation.numbers.get("longer_within"):
            return "<<longer_within>>"
        return self._named(value)

    def _named(self, value: Json) -> Json:
        assert self.found is not None
        if isinstance(value, bool) or value is None:
            return value
        for name, written in self._own().items():
            if value == written and isinstance(value, str) and "{{" in value:
                return f"<<own.{name}>>"
        if (found := self.found.name_of(value)) is not None:
            return f"<<{found}>>"
        if isinstance(value, str) and ("{{" in value or "/" in value or self._is_a_parameter(value)):
            raise NotGeneral(f"{value[:80]!r} stands in no error, so other runbooks can't tell theirs")
        return value

    def _in_expression(self, text: str) -> str:
        assert self.found is not None
        for value, name in sorted(self.found.names.items(), key=lambda item: -len(item[0])):
            text = text.replace(f"'{value}'", f"<<{name}>>").replace(f'"{value}"', f"<<{name}>>")
        for name, written in self._own().items():
            if isinstance(written, str) and (inner := EXPRESSION.fullmatch(written)):
                word = re.escape(inner["inner"].strip())
                text = re.sub(rf"(?<![\w.'\"<]){word}(?![\w'\">])", f"<<own.{name}>>", text)
        named = {*self.situation.parent.parameters} & set(
            re.findall(r"(?<![\w.'\"<])[a-z_][a-z0-9_]*(?![\w'\">(])", text)
        )
        if named or "/" in text:
            raise NotGeneral(f"the condition {text[:80]!r} is about this one runbook")
        return text

    def _prose(self, text: str) -> str:
        """Words with names for what was captured; `<<` of its own would be a name, so it is none any more."""
        assert self.found is not None
        words = without(" ".join(text.replace("<<", "«").replace(">>", "»").split()), ())
        for value, name in sorted(self.found.names.items(), key=lambda item: -len(item[0])):
            words = re.sub(rf"(?<![\w/.-]){re.escape(value)}(?![\w/-])", f"<<{name}>>", words)
        return re.sub(rf"(?<![\w.-]){re.escape(self.situation.failing.result.hostname)}(?![\w.-])", _HOST, words)

    def _own(self) -> Mapping[str, Json]:
        return self.part.params if self.part is not None else {}

    def _is_a_parameter(self, value: str) -> bool:
        return any(str(given) == value for given in self.situation.failing.result.parameters.values())

    def _example(self) -> dict[str, Any]:
        """The failure and what must come out, in the words of the evidence, with no host's name in it."""
        assert self.part is not None
        assert self.found is not None
        result, tree = self.situation.failing.result, self.improvement.parent.tree.value
        runbook = {
            key: tree[key] for key in ("parameters", "steps", "verification", "rollback", "finally") if key in tree
        }
        line = re.sub(
            rf"(?<![\w.-]){re.escape(result.hostname)}(?![\w.-])", _HOST, without(self.found.line, self.clients)
        )
        failure: dict[str, Any] = {"at": self.part.id, "error" if self.situation.step else "observed": line}
        names = {name for name in result.parameters if name in self.situation.parent.parameters}
        shown = {name: result.parameters[name] for name in sorted(names) if not self.situation.parent.parameters[name].secret}  # fmt: skip
        if shown:
            failure["parameters"] = shown
        services = {k: v for k, v in sorted(result.state_before.services.items()) if k in shown.values() or k in self.found.names}  # fmt: skip
        if services:
            failure["state"] = {"services": services}
        operations = [
            _in_order(operation.model_dump(mode="json", exclude={"because"}, exclude_none=True))
            for operation in self.improvement.edit.operations
        ]
        return {"runbook": runbook, "failure": failure, "operations": operations}


def _in_order(operation: Mapping[str, Json]) -> dict[str, Json]:
    """An operation as a person would write it: what and where first, a step's keys as runbooks have them."""
    keys = sorted(operation, key=lambda key: (key not in ("op", *_ANCHORS), key != "op"))
    step = tuple(Step.model_fields)
    return {
        key: {k: item[k] for k in sorted(item, key=lambda k: step.index(k) if k in step else len(step))}
        if key == "step" and isinstance(item := operation[key], dict)
        else operation[key]
        for key in keys
    }


def _leaves(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() if key not in ("op", "why") for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _text(value: Mapping[str, Any], improvement: Improvement) -> str:
    lines = [f"# Learned from {improvement.ref}, which people merged and which proved better than the version before."]
    for key, part in value.items():
        listed = isinstance(part, list) and any(isinstance(item, dict) for item in part)
        lines += [f"{key}:", *block(part, 2)] if listed else block({key: part}, 0)
    return "\n".join(lines) + "\n"
