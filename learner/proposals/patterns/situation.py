"""One failure as a pattern sees it: the words it says, the facts around it, and the place in the parent."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from learner.actions import catalogue
from learner.errors import LearnerError
from learner.facts import merged
from learner.flow import concrete
from learner.models import ExecutionResult, Runbook, Step, Verification
from learner.proposals.brief import Failing
from learner.proposals.patterns.kinds import accepted
from learner.proposals.patterns.order import claimed, claimed_files, providers, undoers
from learner.proposals.patterns.pattern import Pattern
from learner.proposals.patterns.surroundings import surroundings
from learner.proposals.patterns.traces import traces, words_of
from learner.template import evaluate, render

LONGEST_TEXT = 4_000
"""Characters of a failure's text that patterns look at: the first and the last half of it."""
LONGEST_SECONDS = 900

_CLAIMS = {
    "start_service": "service_running",
    "restart_service": "service_running",
    "wait_for_service": "service_running",
    "check_port": "port_open",
    "wait_for_port": "port_open",
    "check_http": "http_ok",
    "wait_for_http": "http_ok",
    "resolve_dns": "dns_resolves",
}
"""What an action would have shown if it had worked."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")

PERMISSION = re.compile(
    r"permission denied|\bEACCES\b|\bEPERM\b|\bEROFS\b|read-only file system|operation not permitted|access (?:is )?denied"
    r"|\bUnauthori[sz]edAccess|not authori[sz]ed|\bunauthori[sz]ed\b|authentication (?:failed|is required|required)"
    r"|interactive authentication|are you root|must be root|requires? root|need(?:s)? root|superuser|must be run as"
    r"|a password is required|not in the sudoers|\bforbidden\b(?!/12/index read-only)|\b40[13]\b(?= (?:unauthor|forbidden))|avc: +denied"
    r"|insufficient (?:privilege|permission)|requires? elevat|WSACCES|\b0x80070005\b|errno 13\b|\(13: ",
    re.IGNORECASE,
)
"""What no runbook may work around: rights are people's to give."""
_NOT_NEEDED = re.compile(
    r"access denied; you need \(at least one of\) the PROCESS privilege\(s\)[^\n]{0,80}when trying to dump tablespaces",
    re.IGNORECASE,
)
"""Rights that a tool asks for only to do more than anybody wants of it."""


def asks_for_rights(text: str) -> bool:
    """Whether `text` says that rights are missing which the work itself needs."""
    return PERMISSION.search(_NOT_NEEDED.sub("", text)) is not None


@dataclass(frozen=True)
class Situation:
    """A failure and the part of the parent that failed."""

    failing: Failing
    parent: Runbook
    step: Step | None
    claim: Verification | None
    successes: tuple[ExecutionResult, ...] = ()

    @cached_property
    def text(self) -> str:
        """What the failure says, cut to size."""
        whole = self.failing.text
        half = LONGEST_TEXT // 2
        return whole if len(whole) <= LONGEST_TEXT else whole[:half] + "\n" + whole[-half:]

    @cached_property
    def scope(self) -> dict[str, Any]:
        """What a pattern's expressions may speak of."""
        result, step, check = self.failing.result, self.failing.step, self.failing.check
        at = [s.id for s in self.parent.steps].index(self.step.id) if self.step in self.parent.steps else -1
        earlier = self.parent.steps[:at] if at >= 0 else self.parent.steps if self.claim else ()
        return {
            "state": merged(result.state_before.facts(), {}),
            "after": result.state_after.facts(),
            "parameters": result.parameters,
            "host": result.host.model_dump(mode="json", exclude_none=True),
            "hostname": result.hostname,
            # The same facts as in `state`, never absent: `exists[path] | default(false)`.
            "services": result.state_before.services,
            "processes": result.state_before.processes,
            "exists": {
                path: found["exists"]
                for path, found in result.state_before.files.items()
                if isinstance(found, Mapping) and isinstance(found.get("exists"), bool)
            },
            "platform": result.platform,
            "params": (step or check).params if (step or check) else {},  # type: ignore[union-attr]
            "error": self.text,
            "duration_seconds": (step.duration_seconds or 0.0) if step else 0.0,
            "timed_out": bool(step and (step.timed_out or re.search(r"\btimed[ -]?out\b", step.error, re.IGNORECASE))),
            "exit_code": step.exit_code if step else None,
            "attempts": step.attempts if step else 0,
            "waited_seconds": check.waited_seconds if check else 0.0,
            "observed": _one(check.observed) if check else None,
            "own": self.own,
            "earlier": [s.action for s in earlier],
            "later": [s.action for s in self.parent.steps[at + 1 :]] if at >= 0 else [],
            "ran": [s.action for s in result.executed_steps if s.success and not s.skipped],
            "cleaned_mounts": self.cleaned_mounts,
            "phase": step.phase if step else "verification",
            "holds_after": self.holds_after,
            "services_up": self.services_up,
            "near_timeout": self.near_timeout,
            "later_starts": self.later_starts,
            "printed": self.printed,
            "cleans": [
                str(step.params.get("path", "")) for step in self.parent.steps if step.action == "clean_directory"
            ],
            **surroundings(self),
            **traces(self),
            "providers": providers(self),
            "undoers": undoers(self),
            "claimed_files": claimed_files(self),
            "groups": re.findall(r"(?<![\w-])([\w-]+):(?:\*|[\w-]+_[0-9]+)", f"{claimed(self)}\n{self.printed}"),
            "later_words": {s.id: words_of(s.params) for s in self.parent.steps[at + 1 :]} if at >= 0 else {},
            **self.numbers,
        }

    @property
    def holds_after(self) -> bool:
        """Whether what the failing step or claim asked for was true in the end: it came, but late."""
        part = self.step or self.claim
        name = _CLAIMS.get(self.step.action, "") if self.step else self.claim.check if self.claim else ""
        check = catalogue().checks.get(name)
        done = self.failing.step or self.failing.check
        if check is None or part is None or done is None:
            return False
        wanted = {key: value for key, value in done.params.items() if key in check.Params.model_fields}
        try:
            return check.holds(concrete(check.Params, wanted), self.failing.result.state_after.facts()) is True
        except LearnerError:
            return False

    @property
    def services_up(self) -> bool:
        """Whether what was asked lies on this host, and every service that the run started was running in the end."""
        done = self.failing.step or self.failing.check
        asked = str(done.params.get("host") or done.params.get("url") or _LOOPBACK[0]) if done else ""
        if not any(asked == name or f"://{name}" in asked for name in (*_LOOPBACK, self.failing.result.hostname)):
            return False
        started = {
            str(step.params.get("name"))
            for step in self.failing.result.executed_steps
            if step.success and not step.skipped and step.action in ("start_service", "restart_service")
        }
        return bool(started) and all(
            self.failing.result.state_after.services.get(name) == "running" for name in started
        )

    @property
    def later_starts(self) -> dict[str, str]:
        """The services that steps after the failing one start, with their state before the run; `unknown` when nobody
        looked."""
        if self.step not in self.parent.steps:
            return {}
        steps = self.parent.steps[self.parent.steps.index(self.step) + 1 :]
        scope = self.failing.result.parameters
        found = {}
        for step in steps:
            if step.action not in ("start_service", "restart_service"):
                continue
            try:
                name = str(render(step.params, scope)["name"])
            except LearnerError:
                continue  # it needs facts or earlier steps
            found[name] = str(self.failing.result.state_before.services.get(name, "unknown"))
        return found

    @property
    def printed(self) -> str:
        """What the steps that worked printed, cut to size: a claim that failed has no words of its own."""
        outputs = [done.output for done in self.failing.result.executed_steps if done.success and not done.skipped]
        return "\n".join(outputs)[-LONGEST_TEXT:]

    @property
    def cleaned_mounts(self) -> list[str]:
        """The recorded mounts that lie beneath what `clean_directory` steps of this run cleaned."""
        found = self.failing.result.state_before.disk.get("mounts")
        mounts = sorted(found, key=len, reverse=True) if isinstance(found, Mapping) else []
        paths = [
            str(done.params.get("path", "")) + "/"
            for done in self.failing.result.executed_steps
            if done.action == "clean_directory" and done.success and not done.skipped
        ]
        on = (next((m for m in mounts if path.startswith(m.rstrip("/") + "/")), None) for path in paths)
        return sorted({mount for mount in on if mount})

    @property
    def near_timeout(self) -> bool:
        """Whether successes of this step came close to its timeout."""
        if self.step is None:
            return False
        times = [
            done.duration_seconds or 0.0
            for result in self.successes
            for done in result.executed_steps
            if done.step_id == self.step.id and done.success
        ]
        return bool(times) and max(times) >= 0.6 * float(self.numbers["timeout"])

    @property
    def own(self) -> dict[str, Any]:
        """The failing step or claim as the parent has it, `retry` and `timeout_seconds` always there."""
        part = self.step or self.claim
        return part.model_dump(mode="json", exclude={"params"}) | {"params": part.params} if part else {}

    @property
    def numbers(self) -> dict[str, Any]:
        """The times and attempts there were, and longer ones; 0 where there is no longer one."""
        found: dict[str, Any] = {}
        if self.step is not None:
            timeout = self.step.timeout_seconds or catalogue().actions[self.step.action].default_timeout_seconds
            attempts = self.step.retries.attempts
            found |= {"timeout": _plain(timeout), "longer_timeout": longer(timeout)}
            found["more_attempts"] = min(10, max(3, attempts * 2)) if attempts < 10 else 0
        if self.claim is not None:
            within = self.claim.within_seconds
            found |= {"within": _plain(within), "longer_within": longer(max(within, 15.0))}
        return found


def longer(seconds: float) -> int:
    """Twice as many seconds, as a round number; 0 when that would be too long to wait."""
    twice = seconds * 2
    step = 5 if twice < 60 else 30
    rounded = math.ceil(twice / step) * step
    return rounded if rounded <= LONGEST_SECONDS else 0


def values(pattern: Pattern, situation: Situation) -> tuple[dict[str, Any], int] | None:
    """The pattern's values for this failure and how many characters its expression matched; None: it does not fire."""
    if not _of_its_kind(pattern, situation) or asks_for_rights(situation.text):
        return None
    if any(exception.search(situation.text) for exception in pattern.exceptions):
        return None
    for expression, kinds in pattern.errors or ((re.compile(""), {}),):
        # The end of a log is its newest part, so the last match counts.
        for match in reversed(list(expression.finditer(situation.text))):
            captured = {name: accepted(kind, match[name]) for name, kind in kinds.items()}
            if None in captured.values():
                continue
            found = _more(pattern, {**situation.scope, **captured})
            if found is not None:
                return {**captured, **found}, len(match[0])
    return None


def _of_its_kind(pattern: Pattern, situation: Situation) -> bool:
    failing, match = situation.failing, pattern.match
    if failing.result.platform not in match.platforms or situation.parent.platform not in match.platforms:
        return False
    if failing.step is not None:
        return failing.step.action in match.actions
    return failing.check is not None and failing.check.check in match.checks


def _more(pattern: Pattern, scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """Picked, looked-up and derived values; None when one is missing, no sane one, or a condition is not true."""
    found: dict[str, Any] = {}
    try:
        for name, picked in pattern.pick.items():
            among = evaluate(picked.among, {**scope, **found})
            entries = among.items() if isinstance(among, Mapping) else ()
            keys = [k for k, v in entries if evaluate(picked.where, {**scope, **found, "key": k, "value": v})]
            if len(keys) != 1:
                return None
            found[name] = accepted(picked.kind, keys[0])
        for name, listed in pattern.table.items():
            entry = listed.entries.get(str(evaluate(listed.of, {**scope, **found})))
            found[name] = None if entry is None else accepted(listed.kind, entry)
        for name, derived in pattern.let.items():
            found[name] = accepted(derived.kind, evaluate(derived.value, {**scope, **found}))
        if None in found.values():
            return None
        for expression in pattern.match.where:
            if not evaluate(expression, {**scope, **found}):
                return None
    except LearnerError:
        return None  # a fact that is not known, or of another kind than the pattern thinks
    return found


def _one(observed: Any) -> Any:
    """What a claim saw; of a single fact (`{endpoints.http://…: 502}`) its value."""
    return next(iter(observed.values())) if isinstance(observed, Mapping) and len(observed) == 1 else observed


def _plain(seconds: float) -> float | int:
    return int(seconds) if float(seconds).is_integer() else seconds
