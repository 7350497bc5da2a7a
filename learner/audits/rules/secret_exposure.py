"""Secrets that would be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.audits.sinks import Sink, of_check, of_step
from learner.errors import LearnerError
from learner.models import Finding, Level, Runbook, Step
from learner.template import expression_references, references

_LITERAL = (
    ("an access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,}|xox[abprs]-[\w-]{10,}|sk-[A-Za-z0-9_-]{20,}|glpat-[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)")),
    ("a password", re.compile(r"(?i)(?:pass(?:word|wd)?|secret|api[_-]?key|token)(?:\s*=|\s*:\s?)['\"]?(?![$\{<*'\"\s]|\(|null|none|true|false)[^\s'\"$\{]{6,}")),
    ("a password in an address", re.compile(r"://[^/\s:@{$]+:(?!\$|\{|\*)[^/\s@]{3,}@")),
)  # fmt: skip
_PRINTS = r"(?:echo|printf|print|logger|tee|cat|wall|Write-(?:Host|Output)|curl|wget|mail|puts|console\.log|export\s+-p|declare\s+-p)"


class SecretExposure(Rule):
    """A secret would be written where others read it.

    A secret parameter in an argv, a file's content, an address, a message or a script's output; a parameter that
    is no secret any more; a secret's value in the runbook itself. Secrets reach commands through `env` or `stdin`.
    """

    name = "secret-exposure"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        old, new = change.old.runbook, change.new.runbook
        for name, parameter in new.parameters.items():
            before = old.parameters.get(name)
            if before and before.secret and not parameter.secret:
                told = "is no secret any more: its value would be written into every result"
                yield self.says(Level.BLOCK, told, f"parameters.{name}")
            if (
                parameter.secret
                and parameter.default not in (None, "")
                and (before is None or before.default != parameter.default)
            ):
                yield self.says(Level.BLOCK, "a secret's value stands in the runbook", f"parameters.{name}.default")
        secrets = _secrets(new) | _secrets(old)
        for pair in change.touched:
            assert pair.new is not None
            known = set(of_step(pair.old)) if pair.old else set()
            for sink in of_step(pair.new):
                yield from self._of(sink, sink in known, secrets, pair.where)
            if secrets:
                yield from self._printed(pair.new, pair.old, secrets, pair.where)
        for check in change.checks:
            if check.new is not None and check.new != check.old:
                known = set(of_check(check.old)) if check.old else set()
                for sink in of_check(check.new):
                    yield from self._of(sink, sink in known, secrets, check.where)

    def _of(self, sink: Sink, known: bool, secrets: frozenset[str], where: str) -> Iterator[Finding]:
        if known:
            return
        place = f"{where}.{sink.where}"
        for name in sorted(_names(sink.text, secrets)):
            if sink.kind == "environment" or sink.where == "params.stdin":
                continue
            shown = {"content": "a file", "url": "an address", "words": "a message", "path": "a path"}.get(
                sink.kind, "a command line"
            )
            yield self.says(Level.BLOCK, f"the secret {name} stands in {shown}", place)
        for what, pattern in _LITERAL:
            if pattern.search(sink.text):
                yield self.says(Level.BLOCK, f"{what} stands in the runbook", place)

    def _printed(self, step: Step, old: Step | None, secrets: frozenset[str], where: str) -> Iterator[Finding]:
        env = step.params.get("env")
        script = str(step.params.get("script") or step.params.get("argv") or "")
        if not isinstance(env, dict):
            return
        before = str(old.params.get("script") or old.params.get("argv") or "") if old else ""
        for variable, value in env.items():
            named = _names(str(value), secrets)
            if not named or script == before:
                continue
            uses = rf"(?:\$\{{?{re.escape(variable)}\b|\$env:{re.escape(variable)}\b|environ\W+{re.escape(variable)}|getenv\W+{re.escape(variable)})"
            if re.search(rf"{_PRINTS}\b[^\n;|&]*{uses}", script, re.IGNORECASE):
                yield self.says(Level.BLOCK, f"prints the secret {sorted(named)[0]}, or puts it into an argv", where)
            elif re.search(
                r"\bset\s+-\w*x|-x\b.*\bbash\b|^\s*(?:printenv|env|set)\s*$|Get-ChildItem\s+env:", script, re.MULTILINE
            ):
                yield self.says(
                    Level.BLOCK, f"prints its environment, and the secret {sorted(named)[0]} with it", where
                )


def _secrets(runbook: Runbook) -> frozenset[str]:
    return frozenset(name for name, parameter in runbook.parameters.items() if parameter.secret)


def _names(text: str, secrets: frozenset[str]) -> set[str]:
    """The secrets that a text's templates read, also by way of the incident."""
    if "{{" not in text or not secrets:
        return set()
    try:
        paths = references(text)
    except LearnerError:
        try:
            paths = expression_references(text)
        except LearnerError:
            return set()
    found = {path[0] for path in paths if path[0] in secrets}
    for path in paths:
        if path[:2] == ("incident", "parameters") or path == ("incident",):
            found |= {path[2]} & secrets if len(path) > 2 else set(secrets)
    return found
