"""Text that telemetry brought, and that would now steer something."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from learner.audits.base import Change, Evidence, Rule
from learner.audits.code import readings
from learner.audits.shell import parse
from learner.audits.sinks import Sink, of_check, of_step
from learner.models import ExecutionResult, Finding, Level

SHORTEST = 5
_TOKEN = re.compile(r"[^\s\"'<>|;&()`,]+")
_SPECIFIC = re.compile(
    r"://|^~?/.+|^[A-Za-z]:\\|^\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?$|^[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?::\d+)?(?:/.*)?$|@"
)
_ORDINARY = re.compile(
    r"/(?:bin|sbin|usr/bin|usr/sbin|usr/local/bin)/[\w.+-]+|/dev/(?:null|std\w+)|127\.\d+\.\d+\.\d+|localhost|0\.0\.0\.0|/etc/os-release"
    r"|/(?:etc|var|run|tmp|usr|opt|srv|home|root|var/log|var/run|var/lib)/?"
)
_SHARP = re.compile(r"[;|&`<>\n]|\$\(|\$\{")
# What these programs are told stands in their own manuals; their errors quote it.
_OF_THE_SYSTEM = frozenset(
    {"systemctl", "dpkg", "apt-get", "apt", "dnf", "yum", "rpm", "nginx", "apachectl", "certbot", "chronyc", "timedatectl", "journalctl",
     "logrotate", "postfix", "sshd", "haproxy", "named-checkconf", "php-fpm", "mount", "umount", "fsck", "redis-cli", "pg_ctl", "resolvectl"}
)  # fmt: skip


class Taint(Rule):
    """Text from telemetry stands newly in a command, a path or an address.

    What a host printed may have been written by whoever attacks it. Such text needs evidence from two executors;
    in a shell's text it is refused without, and always when it holds characters that a shell acts on.
    """

    name = "taint"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        if not evidence.results:
            return
        said = _said(evidence.results)
        known = change.old.text.decode("utf-8", "replace")
        for where, sink in _new_sinks(change):
            for text in _pieces(sink):
                if text in known or _plain(text) in known:
                    continue
                sources = frozenset(source for source, words in said.items() if _stands_in(text, words))
                if sources:
                    yield self._finding(sink, text, sources, where, evidence)

    def _finding(self, sink: Sink, text: str, sources: frozenset[str], where: str, evidence: Evidence) -> Finding:
        several = len(sources) > 1
        if _SHARP.search(text) and sink.kind in ("shell", "command"):
            level = Level.BLOCK
        elif sink.kind == "shell":
            level = Level.WARNING if several else Level.BLOCK
        else:
            level = Level.NOTICE if several else Level.WARNING
        told = f"`{text[:120]}` came from telemetry, of " + (
            f"{len(sources)} executors" if several else "one executor only; evidence of a second one is needed"
        )
        cited = tuple(result.execution_id for result in evidence.results if _source(result) in sources)
        return self.says(level, told, f"{where}.{sink.where}", cited[:5])


def _new_sinks(change: Change) -> Iterator[tuple[str, Sink]]:
    """Every text of the new version that steers something and did not stand there before."""
    for pair in change.touched:
        assert pair.new is not None
        before: set[Sink] = set()
        if pair.old:
            before = {s for p in readings(change.old.runbook, pair.old.params) for s in of_step(pair.old, p)}
        for params in readings(change.new.runbook, pair.new.params):
            for sink in of_step(pair.new, params):
                if sink not in before and sink.kind not in ("words", "content"):
                    yield pair.where, sink
    for check in change.checks:
        if check.new is None or check.new == check.old:
            continue
        held = set(of_check(check.old)) if check.old else set()
        for params in readings(change.new.runbook, check.new.params):
            for sink in of_check(check.new, params):
                if sink not in held:
                    yield check.where, sink


def _pieces(sink: Sink) -> Iterator[str]:
    """The parts of a text that could only have come from somewhere: paths, addresses, names of hosts, whole commands."""
    if sink.kind in ("path", "url", "other"):
        if len(sink.text) >= SHORTEST and _is_specific(sink):
            yield sink.text
        return
    found: dict[str, None] = {}
    if sink.kind == "shell":
        for command in parse(sink.text):
            words = str(command)
            if len(command.words) > 1 and len(words) >= 12 and command.name not in _OF_THE_SYSTEM:
                found[words] = None
            found.update(dict.fromkeys(word for word in command.words if _token(word)))
            found.update(dict.fromkeys(target for _, target in command.redirects if _token(target)))
    for match in _TOKEN.finditer(sink.text):
        if _token(match[0]):
            found[match[0]] = None
    if sink.kind in ("command", "environment") and _SHARP.search(sink.text) and len(sink.text) >= SHORTEST:
        found[sink.text] = None
    yield from found


def _is_specific(sink: Sink) -> bool:
    if _ORDINARY.fullmatch(sink.text.rstrip("/") or "/"):
        return False
    return sink.kind != "other" or bool(_SPECIFIC.search(sink.text)) or "name" in sink.where


def _token(word: str) -> bool:
    return len(word) >= SHORTEST and bool(_SPECIFIC.search(word)) and not _ORDINARY.fullmatch(word)


def _source(result: ExecutionResult) -> str:
    return result.executor.id or result.hostname


def _said(results: tuple[ExecutionResult, ...]) -> Mapping[str, str]:
    """All that was printed, by who sent it. The same executor on two hosts is one source, as is one host with two."""
    said: dict[str, list[str]] = {}
    hosts: dict[str, str] = {}
    for result in results:
        source = hosts.setdefault(result.hostname, _source(result))
        texts = [result.error_message or "", result.error_traceback or "", result.notes or ""]
        for step in result.executed_steps:
            texts += [step.output, step.error, *_strings(step.data)]
        for check in result.checks:
            texts += _strings(check.observed)
        said.setdefault(source, []).extend(texts)
    return {source: "\n".join(texts) for source, texts in said.items()}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, below in value.items() for text in [str(key), *_strings(below)]]
    if isinstance(value, list | tuple):
        return [text for below in value for text in _strings(below)]
    return []


def _plain(text: str) -> str:
    return posixpath.normpath(text) if text.startswith("/") else text


def _stands_in(text: str, words: str) -> bool:
    """Whether `text` stands in `words` whole, not as a part of something longer."""
    for wanted in {text, _plain(text)}:
        pattern = rf"(?<![\w/.-]){re.escape(wanted)}(?![\w-]|/\w|\.\w)"
        if re.search(pattern, words):
            return True
    return False
