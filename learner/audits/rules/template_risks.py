"""Values that become code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from learner.audits.base import Change, Evidence, Rule
from learner.audits.outcomes import sources
from learner.audits.sinks import Sink, inline_script, of_check, of_step
from learner.models import Finding, Level, Parameter, Runbook

_SHARP_TRIES = ("$(id)", "`id`", "a;b", "a|b", "a&b", "a\nb", "a b", "-rf", "../x", "*", "a'b", 'a"b')

_AS_CODE = (
    r"(?:\beval\b|\b(?:ba|da|z|k)?sh\s+-\w*c\b|\bsource\b|(?m:^|[;&|({])\s*\.\s|\bexec\b|\bxargs\b[^\n]*\bsh\b|iex\b|Invoke-Expression"
    r"|os\.system|subprocess\.\w+|popen|\b(?:python[0-9.]*|perl|ruby|node|php)\s+-\w*[cer]\b|\bssh\b|\bsu\b[^\n]*\s-c\b"
    r"|\b[gmn]?awk\b(?:\s+(?:-F\S*|-v\s*\S+))*(?=\s+\"?\$)|\btrap\b)"
)
"""What takes a text and runs it."""


class TemplateRisks(Rule):
    """A parameter, an incident's field or a step's output is read as code.

    Templates in a shell's text, a program's name that depends on a value, `eval` of the environment, outputs of
    steps in commands, paths and addresses. A script gets values through `env`, or after `sh -c SCRIPT sh` as `"$1"`,
    and quotes them.
    """

    name = "template-risks"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for pair in change.touched:
            assert pair.new is not None
            known = set(of_step(pair.old)) if pair.old else set()
            for sink in of_step(pair.new):
                if sink not in known:
                    yield from self._of(change.new.runbook, sink, f"{pair.where}.{sink.where}")
            if pair.old is None or pair.old.params != pair.new.params:
                yield from self._evaluated(change.new.runbook, pair.new.params, pair.where)
        for check in change.checks:
            if check.new is not None and check.new != check.old:
                held = set(of_check(check.old)) if check.old else set()
                for sink in of_check(check.new):
                    if sink not in held:
                        yield from self._of(change.new.runbook, sink, f"{check.where}.{sink.where}")
                if check.old is None or check.old.params != check.new.params:
                    yield from self._evaluated(change.new.runbook, check.new.params, check.where)

    def _of(self, book: Runbook, sink: Sink, where: str) -> Iterator[Finding]:
        if "{{" not in sink.text:
            return
        for path in sorted(sources(sink.text)):
            name, outside = ".".join(path), path[0] in ("steps", "incident", "host", "state")
            safe = not outside and _safe(book.parameters.get(path[0]))
            if sink.kind == "shell" and not safe:
                yield self.says(Level.BLOCK, f"{name} is pasted into a shell's text", where)
            elif sink.kind == "command" and sink.where == "params.argv.0" and not safe:
                yield self.says(Level.BLOCK, f"which program runs depends on {name}", where)
            elif (
                path[0] == "steps"
                and path[-1] not in ("success", "exit_code", "skipped")
                and sink.kind in ("command", "path", "url")
            ):
                yield self.says(Level.WARNING, f"what {name} printed steers it", where)
            elif path[0] == "incident" and sink.kind in ("command", "path", "url"):
                yield self.says(Level.NOTICE, f"whoever reports the incident steers it, by {name}", where)

    def _evaluated(self, book: Runbook, params: Mapping[str, Any], where: str) -> Iterator[Finding]:
        argv = params.get("argv")
        script = str(params.get("script", "")) or ("\n".join(map(str, argv)) if isinstance(argv, list) else "")
        env = params.get("env")
        for variable, value in env.items() if isinstance(env, dict) else ():
            if not _fixed(book, value):
                yield from self._run_as_code(script, variable, where)
        at = inline_script(argv)
        if at is None or not isinstance(argv, list):
            return
        script, handed_over = str(argv[at]), argv[at + 1 :]
        for number, value in enumerate(handed_over):
            if _fixed(book, value):
                continue
            # Where they are counted anew or taken all together, any of them may be any of these.
            anyhow = re.search(r"\bshift\b|\bset\s+(?:-\w+\s+)*--|\$\{?[@*]|\bfor\s+\w+\s*(?:;|\n|do\b)", script)
            names = [*map(str, range(10)), "@", "*"] if anyhow else [str(number)]
            for name in names:
                found = list(self._run_as_code(script, name, where))
                yield from found
                if found:
                    break

    def _run_as_code(self, script: str, variable: str, where: str) -> Iterator[Finding]:
        name = re.escape(variable)
        end = r"\b" if variable[-1].isalnum() or variable[-1] == "_" else ""
        value = rf"(?:\$\{{?{name}{end}|\$env:{name}{end}|environ\W+{name}{end}|getenv\W+{name}{end})"
        begins = rf"(?m)(?:^|[;|&({{`!]|\$\(|\b(?:then|do|else|if|while|until|time|command|env|nohup|sudo|doas)\b)\s*\"?\$\{{?{name}\}}?\"?(?:[\s;|&)]|$)"
        if re.search(_AS_CODE + rf"[^\n;|]*{value}", script, re.IGNORECASE) or re.search(begins, script):
            yield self.says(Level.BLOCK, f"runs what ${variable} holds as code", where)
        elif re.search(rf"\b(?:rm|chmod|chown|kill|mv|cp|dd)\b[^\n;|\"']*\$\{{?{name}{end}", script):
            yield self.says(Level.WARNING, f"${variable} stands unquoted: a blank in it makes two words", where)


def _fixed(book: Runbook, value: Any) -> bool:
    text = str(value)
    if "{{" not in text:
        return True
    return all(_safe(book.parameters.get(path[0])) for path in sources(text))


def _safe(parameter: Parameter | None) -> bool:
    """Whether no value of a parameter can mean anything to a shell."""
    if parameter is None:
        return False
    if parameter.type != "string":
        return True
    if parameter.enum is not None:
        return not any(re.search(r"[^\w./:@=-]", str(value)) for value in parameter.enum)
    if parameter.pattern is None:
        return False
    try:
        pattern = re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", parameter.pattern))
    except re.error:
        return False
    return not any(pattern.search(text) for text in _SHARP_TRIES)
