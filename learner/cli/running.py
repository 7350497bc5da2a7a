"""From options and settings to runs: one host, one incident, one result each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learner import pipeline
from learner.cli.keeping import Kept
from learner.cli.sending import send, spool_of
from learner.errors import LearnerError
from learner.executor import gate
from learner.executor.cancel import Cancellation
from learner.executor.choose import Chosen, choose
from learner.executor.fitting import fitted
from learner.executor.guard import Runs
from learner.executor.hosts import OpenHost, open_host
from learner.executor.incidents import typed
from learner.executor.journal import KILLED, abandoned
from learner.executor.run import Order, Ran, new_execution_id, not_run
from learner.models.execution import ExecutionResult, Executor, StepExecution
from learner.models.incident import Incident
from learner.repository.git import Git
from learner.runbook_file import InvalidRunbook, RunbookFile, parse
from learner.settings import HostSettings
from learner.telemetry.redact import Redactor

Tell = Callable[[str], None]


def version() -> str:
    """This program's version."""
    from importlib.metadata import version as installed

    return installed("runbook-learner")


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Wanted:
    """What a person or an alert asks for."""

    runbook: str | None
    """An id or a version; None: the one that fits the incident."""
    incident: Incident | None
    given: Mapping[str, Any]
    """Parameters from the command line."""
    dry: bool = False
    become: bool = False
    """Everything with an administrator's rights, not only the steps that ask for them."""
    hosts_named: bool = False
    """Whether somebody said on which hosts; else the incident may not be about another one."""


@dataclass(frozen=True)
class Done:
    """What came of it on one host."""

    address: str
    host: str
    result: ExecutionResult | None = None
    """Redacted, as it was kept."""
    refused: LearnerError | None = None
    dry: bool = False
    held_back: bool = False
    """Whether the loop guard called a person instead."""

    @property
    def exit_code(self) -> int:
        if self.refused:
            return self.refused.exit_code
        assert self.result
        if self.dry:
            return 0
        if self.held_back:
            return 10
        return {"success": 0, "skipped": 3}.get(self.result.status.value, 1)


class _TooOften(Exception):
    def __init__(self, order: Order, reason: str) -> None:
        super().__init__(reason)
        self.order = order
        self.reason = reason


@dataclass
class Site:
    """This executor: its settings, its clone, its spool, its memory of runs."""

    settings: HostSettings
    tell: Tell
    step_ended: Callable[[str, StepExecution], None] = lambda _host, _step: None
    cancellation: Cancellation = field(default_factory=Cancellation)
    become_password: str | None = None
    """What sudo is given when it asks."""

    def __post_init__(self) -> None:
        self.git = Git(Path(self.settings.repository))
        self.spool = spool_of(self.settings)
        self.runs = Runs(Path(self.settings.spool) / "runs")
        self._journals = self.runs.folder / "journal"

    def recover(self) -> int:
        """How many runs were killed before they could write their result, or had nowhere to; it is in the spool now.

        Raises: `LearnerError` when the spool can't keep it; the journals stay.
        """
        count = 0
        for result, journal in abandoned(self._journals, utc_now()) if self._journals.is_dir() else ():
            if result is not None:
                self.spool.add(fitted(result, self.spool.max_result_bytes))
                count += 1
                why = "had been killed" if result.notes == KILLED else "had nowhere to put its result"
                self.tell(
                    f"{result.runbook_ref} on {result.hostname} {why}: kept {result.execution_id} as {result.status.value}"
                )
            elif journal.read_bytes().strip(b"\0\n"):  # else it was killed before it began
                # Kept for a person to look at; it is told once.
                self.tell(f"the journal of a killed run can't be read: {journal.with_suffix('.unreadable')}")
                journal.replace(journal.with_suffix(".unreadable"))
            journal.unlink(missing_ok=True)
        return count

    def fetch(self) -> str | None:
        """Why `main` could not be fetched; None when it was."""
        try:
            gate.fetch(self.git, self.settings.gate, utc_now())
        except LearnerError as e:
            return e.message
        return None

    def choose(self, incident: Incident, platform: str) -> Chosen:
        """The runbook on `main` for an incident.

        Raises: `LearnerError` when none fits, or several equally well.
        """
        runbooks = []
        for path, text in gate.texts(self.git, self.settings.gate).items():
            try:
                runbooks.append(parse(text, path).runbook)
            except InvalidRunbook as e:
                self.tell(f"left out of the choice: {e}")
        return choose(incident, platform, self.settings.labels, runbooks)

    def everywhere(self, wanted: Wanted, addresses: Sequence[str], parallel: int) -> tuple[Done, ...]:
        """One result a host, in the order of `addresses`; at most `parallel` at once."""
        if len(addresses) == 1:
            return (self.on(wanted, addresses[0]),)
        with ThreadPoolExecutor(max_workers=parallel) as pool:
            return tuple(pool.map(lambda address: self.on(wanted, address), addresses))

    def on(self, wanted: Wanted, address: str) -> Done:
        """Run it on one host; what stands against it is a value, so that other hosts go on."""
        host: OpenHost | None = None
        cancelled = self.cancellation.child()
        try:
            if self.cancellation.asked:
                raise LearnerError("not started: told to stop", "run it again")
            host = open_host(address, self.settings, cancelled, self.become_password)
            if wanted.become:
                host = host.elevated()
            if not wanted.hosts_named:
                _same_host(wanted.incident, host)
            return self._run(wanted, address, host, cancelled)
        except LearnerError as e:
            return Done(address, host.name if host else address, refused=e, dry=wanted.dry)
        finally:
            if host:
                host.close()

    def _run(self, wanted: Wanted, address: str, host: OpenHost, cancelled: Cancellation) -> Done:
        runbook = wanted.runbook
        if runbook is None:
            assert wanted.incident
            chosen = self.choose(wanted.incident, host.platform)
            runbook = chosen.runbook.id
            self.tell(f"{host.name}: chose {chosen.runbook.ref}, {chosen.reason}")
        runbook_id = runbook.partition("-v")[0]
        execution_id = new_execution_id(utc_now())

        def order(file: RunbookFile) -> Order:
            made = self._order(file, wanted, host, execution_id)
            if not wanted.dry:
                self._guard(made)
            return made

        def go(watcher: Kept | None) -> Ran:
            return pipeline.execute(
                self.git, self.settings.gate, runbook, order, now=utc_now(), dry=wanted.dry, cancelled=cancelled,
                tell=lambda line: self.tell(f"{host.name}: {line}"), watcher=watcher,
            )  # fmt: skip

        if wanted.dry:
            ran = go(None)
            return Done(address, host.name, Redactor(ran.secrets, self.settings.redact).result(ran.result), dry=True)
        self.spool.ready()
        with self.runs.alone(host.name, runbook_id, execution_id):
            kept = Kept(
                self._journals, execution_id, self.settings.redact, lambda step: self.step_ended(host.name, step)
            )
            safe = False
            try:
                ran = go(kept)
                try:
                    result = pipeline.record(ran, self.spool, self.settings.redact)
                    safe = True
                except LearnerError as e:
                    result, safe = kept.rescue(ran, self.spool, e)
                    if not safe:
                        self.tell(f"{host.name}: {e.message}; the result rests in its journal until the next start")
                return Done(address, host.name, result)
            except _TooOften as e:
                result = Redactor(patterns=self.settings.redact).result(
                    not_run(e.order, e.reason, manual=True, now=utc_now())
                )
                self.spool.add(result)
                safe = True
                return Done(address, host.name, result, held_back=True)
            finally:
                kept.close(kept=safe)

    def _order(self, file: RunbookFile, wanted: Wanted, host: OpenHost, execution_id: str) -> Order:
        runbook = file.runbook
        incident = wanted.incident or Incident(
            incident_id=f"manual-{execution_id.removeprefix('exec-')}",
            incident_type=runbook.incident_types[0],
            client_id=self.settings.client_id,
            hostname=host.name,
            source="by hand",
        )
        said = {**incident.parameters, **wanted.given}
        unknown = sorted(set(incident.parameters) - set(runbook.parameters) - set(wanted.given))
        if unknown and incident.source not in ("alertmanager", "pagerduty"):
            self.tell(f"{runbook.ref} has no parameter {', '.join(unknown)}: left out")
        given = {
            name: typed(runbook.parameters[name], value) if name in runbook.parameters else value
            for name, value in said.items()
            if name in runbook.parameters or name in wanted.given
        }
        executor = Executor(id=self.settings.executor_id, name="learner", version=version())
        return Order(
            file, incident, host, host.facts(), executor, execution_id, given, self.settings.capture_seconds,
            (self.become_password,) if self.become_password else (),
        )  # fmt: skip

    def _guard(self, order: Order) -> None:
        guard, now = self.settings.loop_guard, utc_now()
        key = (order.host.name, order.file.runbook.id, order.incident.incident_id)
        recent = self.runs.recent(*key, now, guard.minutes)
        if recent >= guard.runs:
            raise _TooOften(
                order,
                f"held back: {order.file.runbook.id} has run {recent} times in {guard.minutes:g} minutes"
                f" for {order.incident.incident_id}; a person is needed",
            )
        self.runs.note(*key, now)

    def push(self) -> str:
        """One line on what was sent.

        Raises: `LearnerError` when the remote can't be reached; everything stays in the spool.
        """
        pushed = send(self.settings, self.spool)
        return f"{pushed.sent} sent, {pushed.remaining} in the spool"


def _same_host(incident: Incident | None, host: OpenHost) -> None:
    """Raises: `LearnerError` when the incident is about another machine than the one that nobody named."""
    if incident and incident.hostname:
        short = {name.partition(".")[0].lower() for name in (incident.hostname, host.name)}
        if len(short) > 1:
            raise LearnerError(
                f"the incident is about {incident.hostname}; this host is {host.name}",
                f"--host ssh://{incident.hostname} runs it there, --host local here all the same",
            )


def hosts_in(file: Path) -> list[str]:
    """The addresses in a hosts file: one a line, `#` begins a comment.

    Raises: `LearnerError` when it can't be read or names none.
    """
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
    except OSError as e:
        raise LearnerError(f"{file}: {e.strerror}", "check the path") from e
    found = [line for line in lines if line]
    if not found:
        raise LearnerError(f"{file} names no host", "one address a line, such as ssh://admin@web-1")
    return found


def incidents_in(file: Path, client_id: str) -> tuple[Incident, ...]:
    """The incidents of a file, `-` for standard input.

    Raises: `LearnerError` when it can't be read or is none.
    """
    import sys

    from learner.executor.incidents import read

    with suppress(FileNotFoundError):
        return read(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes(), client_id, str(file))
    raise LearnerError(f"{file}: no such file", "check the path")
