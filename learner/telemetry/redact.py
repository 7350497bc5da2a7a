"""Secrets are masked before anything is written down: the values themselves, every form they travel in, and
what looks like a secret."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult

MASK = "***"

_SHAPES = (
    # a private key, from its first line to its last, or to the end of a text that was cut
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})",
    r"\bglpat-[A-Za-z0-9_-]{20,}",
    r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}",
    r"https://hooks\.slack\.com/services/[A-Za-z0-9/+_-]+",
    r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    # what follows is told by its name: the name stays, the value goes
    r"(?P<kept1>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
    r"(?P<kept2>\b(?:[A-Za-z0-9_.-]*[_.-])?(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key"
    r"|secret[_-]?key|private[_-]?key|credentials?)[\"']?\s{0,3}(?:=|:)\s{0,3})"
    # a program's name before its error, as in "rotate-token: PermissionError: …", names no secret
    r"(?:\"(?:[^\"\\\n]|\\.)+\"|'[^'\n]+'|(?!\*\*\*|[\w.]*(?:error|exception|warning|fatal):)[^\s\"',;&|)}\]]+)",
    r"(?P<kept3>--(?:password|passwd|token|secret|api-key)\s+)(?:\"[^\"\n]+\"|'[^'\n]+'|(?!-)[^\s\"',;]+)",
    r"(?P<kept4>\b[A-Za-z][A-Za-z0-9+.-]{1,20}://)[^/\s@\"'<>]{1,300}(?=@)",
)
_BUILT_IN = tuple(re.compile(shape, re.IGNORECASE if "kept" in shape else 0) for shape in _SHAPES)

_SECRET_NAME = re.compile(
    r"(?:[A-Za-z0-9_.-]*[_.-])?(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key"
    r"|private[_-]?key|credentials?)",
    re.IGNORECASE,
)

_STRUCTURE = frozenset(
    {
        "schema_version", "execution_id", "runbook_id", "runbook_version", "runbook_blob", "client_id", "platform",
        "incident_started_at", "started_at", "completed_at", "captured_at", "duration_seconds", "waited_seconds",
        "status", "failure_type", "success", "verification_passed", "confidence", "retry_count", "error_step",
        "step_number", "step_id", "phase", "action", "check", "exit_code", "attempts", "skipped", "timed_out",
        "manual_intervention_needed", "was_correct_runbook", "was_correct_diagnosis", "passed",
    }
)  # fmt: skip
"""Fields whose values are of our making and fixed by the model; everything else may hold anybody's text."""
_FREE = frozenset(
    {"parameters", "params", "data", "observed", "state_before", "state_after", "state_diff", "state_changes"}
)
"""Fields that hold whatever a runbook or a host says, numbers too."""
_SERVICE_STATES = frozenset({"running", "stopped", "failed", "unknown"})


class Redactor:
    """Masks secrets in text and in results; doing it twice gives what doing it once gives."""

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """`secrets` are values, `patterns` regular expressions whose matches are masked whole.

        Raises: `LearnerError` when a pattern is no regular expression.
        """
        # a mask is no secret, or masking would never come to an end
        self._secrets = frozenset(secret for secret in secrets if secret.strip("*"))
        self._known = _known(self._secrets)
        self._patterns = (*_BUILT_IN, *map(_compiled, patterns))

    def text(self, text: str) -> str:
        """`text` with every secret masked."""
        # Masking can bring together what then looks like a secret, so it goes on until nothing changes. It ends:
        # every round leaves fewer characters that are no asterisk, or fewer short runs of asterisks.
        while (masked := self._once(text)) != text:
            text = masked
        return text

    def json(self, value: Any, *, free: bool = True) -> Any:
        """`value` (a JSON value) with every string and key masked, and in free places numbers that are secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item, free=free) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._named(key, item, free) for key, item in value.items()}
        if free and isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) > 3:
            return MASK if str(value) in self._secrets else value
        return value

    def _named(self, key: str, value: Any, free: bool) -> Any:
        return MASK if isinstance(value, str) and value and _SECRET_NAME.fullmatch(key) else self.json(value, free=free)

    def result(self, result: ExecutionResult) -> ExecutionResult:
        """`result` with every secret masked in all that a runbook, a host or a person may have written there."""
        tree = result.model_dump(mode="json")
        return ExecutionResult.model_validate_json(json.dumps(self._tree(tree)))

    def _tree(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._tree(item) for item in value]
        if not isinstance(value, dict):
            return self.json(value, free=False)
        return {key: self._field(key, item) for key, item in value.items()}

    def _field(self, key: str, value: Any) -> Any:
        if key in _STRUCTURE:
            return value
        if key in ("state_before", "state_after"):
            return {family: self._family(family, facts) for family, facts in value.items()}
        return self.json(value) if key in _FREE else self._tree(value)

    def _family(self, family: str, facts: Any) -> Any:
        if family in _STRUCTURE:
            return facts
        if family == "services":
            return {self.text(name): state if state in _SERVICE_STATES else "unknown" for name, state in facts.items()}
        return self.json(facts)

    def _once(self, text: str) -> str:
        if self._known:
            text = self._known.sub(MASK, text)
        for pattern in self._patterns:
            text = pattern.sub(_masked, text)
        return re.sub(r"\*{3,}", MASK, text)


def _masked(match: re.Match[str]) -> str:
    if not match[0]:
        return ""
    kept = next((value for name, value in match.groupdict().items() if name.startswith("kept") and value), "")
    value = match[0][len(kept) :]
    quote = value[0] if kept and value[:1] in "\"'" and value[-1:] == value[:1] else ""
    return f"{kept}{quote}{MASK}{quote}"


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as e:
        raise LearnerError(
            f"redact: {pattern!r} is no regular expression: {e}", "correct `redact` in the host's settings"
        ) from e


def _known(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for all forms of all secrets, longest first; what is masked already is stepped over whole."""
    forms = {form for secret in secrets for form in _forms(secret)}
    if not forms:
        return None
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join([r"\*{3,}", *ordered]))


def _forms(secret: str) -> Iterator[str]:
    """Regular expressions, one for each way `secret` may be written."""
    if len(secret) < 4:
        # so short a value is masked where it stands alone; inside words it would take the text apart
        yield rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"
        return
    # the lines of a key or a certificate are also printed one by one
    values = {secret, secret.strip(), *(line.strip() for line in secret.splitlines() if len(line.strip()) >= 8)}
    for value in values:
        if len(value) < 4:
            continue
        for written in _writings:
            for form in written(value):
                if len(form) >= 4 and form.strip("*"):
                    yield re.escape(form)
        yield from _base64(value.encode("utf-8", "surrogatepass"))


def _url(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    for form in (
        urllib.parse.quote(raw, safe=""),
        urllib.parse.quote(raw, safe="/"),
        urllib.parse.quote_plus(raw),
        "".join(f"%{byte:02X}" for byte in raw),
    ):
        yield form
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form)


def _escaped(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield once.replace("/", "\\/")
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield html.escape(value, quote=False)


def _shell(value: str) -> Iterator[str]:
    yield shlex.quote(value)
    yield value.replace("'", "'\"'\"'")
    yield value.replace("'", "'\\''")
    yield value.replace("'", "''")
    yield re.sub(r"([^A-Za-z0-9_@%+=:,./-])", r"\\\1", value)
    yield re.sub(r'([\\"$`])', r"\\\1", value)


def _hex(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex()
    yield raw.hex().upper()


_writings: tuple[Callable[[str], Iterator[str]], ...] = (lambda value: iter((value,)), _url, _escaped, _shell, _hex)


def _base64(raw: bytes) -> Iterator[str]:
    """What `raw` looks like inside a base64 text, wherever in it: a byte's bits begin at one of three places.

    The first and last character are shared with what stands beside the secret; they are masked with it.
    """
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode()
        first = -(-8 * before // 6)
        core = text[first : 8 * (before + len(raw)) // 6]
        if len(core) < 4:
            continue
        for alphabet in {core, core.translate(str.maketrans("+/", "-_"))}:
            # encoders break their lines, mostly after 64 or 76 characters
            yield r"[A-Za-z0-9+/_-]?" + r"(?:\r?\n)?".join(map(re.escape, alphabet)) + r"[A-Za-z0-9+/_-]?={0,2}"
