"""What every command that sends shares: from files to this host's spool, and from the spool to where results go."""

from __future__ import annotations

import codecs
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.models.records import SkippedFile
from learner.telemetry import parse
from learner.telemetry.plain import lines, plain, unmarked
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool

if TYPE_CHECKING:
    from learner.settings import HostSettings
    from learner.telemetry.inbox import Pushed

STDIN = "-"
_IN_MEMORY = 4 << 20
"""Bytes of standard input that are held in memory; more goes to a temporary file."""


def spool_of(settings: HostSettings) -> Spool:
    """This host's spool."""
    return Spool(Path(settings.spool), max_bytes=settings.spool_limits.max_bytes)


def send(settings: HostSettings, spool: Spool, *, urgent: bool = False) -> Pushed:
    """What was sent to this host's own inbox, or to a relay, which is told when something `urgent` is among it.

    Raises: `LearnerError` when the remote can't be reached; everything stays in the spool.
    """
    urgent = spool.take_urgent() or urgent
    try:
        return _sent(settings, spool, urgent)
    except LearnerError:
        if urgent:
            spool.mark_urgent()
        raise


def _sent(settings: HostSettings, spool: Spool, urgent: bool) -> Pushed:
    from learner.repository.git import Git, Identity
    from learner.telemetry import handover, inbox

    remote = settings.telemetry_remote or settings.gate.remote
    if remote.startswith(handover.SCHEME):
        token = os.environ.get(settings.relay_token_env, "")
        return handover.push(spool, remote, token=token, batch=settings.push.batch, urgent=urgent)
    return inbox.push(
        spool,
        Git(Path(settings.repository)),
        remote,
        client_id=settings.client_id,
        executor_id=settings.executor_id,
        prefix=settings.ref_prefix,
        author=Identity(settings.executor_id, f"{settings.executor_id}@{settings.client_id}"),
        now=datetime.now(UTC),
        batch=settings.push.batch,
    )


@dataclass(frozen=True)
class Taken:
    """What went into the spool, and what did not, with the reason."""

    results: int
    skipped: tuple[SkippedFile, ...]


def take(
    sources: Sequence[Path],
    settings: HostSettings,
    spool: Spool,
    secrets: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _count: None,
) -> Taken:
    """Put the results that `sources` hold into the spool: checked, redacted, durable. `-` is standard input.

    `progress` is told how many there are so far.

    Raises: `LearnerError` when a source is not there, or the spool can't keep a result: those before it are kept.
    """
    redactor = Redactor(secrets, settings.redact)
    taken = 0
    skipped: list[SkippedFile] = []
    for source in sources:
        for name, found in _results(source):
            if not isinstance(found, ExecutionResult):
                skipped.append(SkippedFile(path=name, reason=found))
            elif found.client_id != settings.client_id:
                words = f"a result of client {found.client_id}, but this host reports for {settings.client_id}"
                skipped.append(SkippedFile(path=name, reason=words))
            else:
                kept = spool.add(redactor.result(found))
                if (reason := spool.reason(kept)) is not None:
                    skipped.append(SkippedFile(path=name, reason=f"set aside: {reason}"))
                else:
                    taken += 1
                    progress(taken)
    return Taken(taken, tuple(skipped))


def secrets_in(variables: Sequence[str]) -> tuple[str, ...]:
    """The values of environment variables, to be masked wherever they turn up.

    Raises: `LearnerError` when there is no such variable.
    """
    for name in variables:
        if name not in os.environ:
            raise LearnerError(f"the environment has no variable {name}", "set it, or leave --secret-env out")
    return tuple(os.environ[name] for name in variables if os.environ[name])


def _results(source: Path) -> Iterator[tuple[str, ExecutionResult | str]]:
    """(place, the result or why there is none) of all that a folder, a file or standard input holds."""
    if str(source) == STDIN:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as held:
            shutil.copyfileobj(sys.stdin.buffer, held)
            held.seek(0)
            yield from _documents(held, "stdin")
    elif source.is_file():
        with source.open("rb") as file:
            yield from _documents(file, str(source))
    else:
        empty = True
        for one in plain(source):
            empty = False
            yield one
        if empty:
            yield str(source), "no .json and no .jsonl file in it"


def _documents(source: IO[bytes], name: str) -> Iterator[tuple[str, ExecutionResult | str]]:
    """One JSON document, however it is set out, or JSON Lines: told apart by what the bytes are, not by a file's name."""
    head = unmarked(source.read(parse.MAX_BYTES + 1))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield name, "it is UTF-16: write it as UTF-8 (in PowerShell: Out-File -Encoding utf8)"
        return
    if len(head) > parse.MAX_BYTES or _is_lines(head):
        source.seek(0)
        for place, found in lines(source, name):
            # A line is its own document to the reader; the place names the line already.
            yield place, re.sub(r" at line 1 column", " at column", found) if isinstance(found, str) else found
        return
    if not head.strip():
        yield name, "it is empty: one JSON document, or one a line, is wanted"
        return
    if head.lstrip().startswith(b"["):
        yield name, "it is a list: one result a line is wanted (jq -c '.[]' makes that of it)"
        return
    found = parse.result(head)
    if isinstance(found, str):
        from learner.cli.validate import result_errors

        first, *more = result_errors(head, None) or [{"line": 1, "column": 1, "message": found}]
        rest = f" (and {len(more)} more: `learner validate` lists them)" if more else ""
        yield f"{name}:{first['line']}:{first['column']}", f"{first['message']}{rest}"
    else:
        yield name, found


def _is_lines(text: bytes) -> bool:
    """Whether a line, not indented, is a whole JSON object while the text is none."""
    try:
        json.loads(text)
    except ValueError:
        return any(line.startswith(b"{") and _is_json(line) for line in text.splitlines())
    except RecursionError:
        return False
    return False


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
