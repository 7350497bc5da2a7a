"""The demo's story: a runbook fails for real, a better one is proposed, a person approves it, the incident is fixed."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from learner import pipeline
from learner.cli import job as jobs
from learner.cli.learn import show_decisions
from learner.cli.report import show as show_report
from learner.demo.stage import LEARNER, PERSON, Stage, incidents
from learner.errors import LearnerError, Refused
from learner.executor import gate
from learner.executor.hosts.local import LocalHost
from learner.executor.run import Order, new_execution_id
from learner.forge.gateway import Gateway
from learner.forge.person import Person
from learner.models import ExecutionResult, Executor, Incident
from learner.report.metrics import Metrics
from learner.repository.git import Git
from learner.runbook_file import RunbookFile
from learner.settings import ForgeSettings, RepositorySettings
from learner.telemetry.inbox import push
from learner.telemetry.spool import Spool

REPAIRED = ("RB-LIN-SERVICE-001", "RB-LIN-DB-001", "RB-LIN-API-001")


def tell(console: Console, *, yes: bool) -> Metrics:
    """Play it from beginning to end; the report at its end.

    With `yes` the proposals are merged as the person who typed the command; else the person is waited for.
    """
    began = time.monotonic()
    console.rule("[bold]1. A host, three services, a forge")
    with Stage() as stage:
        console.print(f"supervisord runs web, db and api under {stage.folder}; the forge serves {stage.forge.url}")
        signed = (
            "signed, and this host pins the signer" if stage.signing_key else "unsigned: there is no ssh-keygen here"
        )
        console.print(f"main holds five runbooks, committed by {PERSON.name} ({signed})")

        console.rule("[bold]2. Everything breaks; the runbooks do what they can")
        first = _respond(console, stage)

        console.rule("[bold]3. learner learn")
        learned = pipeline.learn(_job(stage))
        show_decisions(learned.plan.decisions)
        opened = [published for published in learned.published if published.action == "opened"]
        for published in opened:
            console.print(f"[green]opened[/green] #{published.number} {published.runbook_ref} {published.url}")
        again = pipeline.learn(_job(stage))
        console.print(
            "a second run right after: " + ("nothing to do" if again.did_nothing else "[red]it changed something[/red]")
        )

        console.rule("[bold]4. What nobody merged does not run")
        _refused(console, stage)

        console.rule("[bold]5. A person decides")
        _decide(console, stage, [published.number for published in opened if published.number], yes=yes)

        console.rule("[bold]6. The same faults again")
        second = _respond(console, stage)
        pipeline.learn(_job(stage))

        console.rule("[bold]7. Does v2 beat v1?")
        metrics = pipeline.report(_job(stage))
        show_report(metrics)
        _compare(console, first, second)
    console.print(f"\n[dim]{time.monotonic() - began:.0f} s; everything it started is gone[/dim]")
    return metrics


def _job(stage: Stage) -> pipeline.Job:
    now = datetime.now(UTC)
    forge = ForgeSettings(api_url=stage.forge.api_url, repository="acme/runbooks")
    settings = RepositorySettings(forge=forge)
    git = Git(stage.folder / "learner")
    blank = pipeline.Job(git, "origin", settings, LEARNER, f"run-{secrets.token_hex(4)}", now, jobs.proposers(None))
    pipeline.fetch_main(blank)
    settings = jobs.repository_settings(git, "origin").model_copy(update={"forge": forge})
    gateway = Gateway(forge, "acme/runbooks", stage.tokens["learner"])
    return replace(blank, settings=settings, gateway=gateway)


def _respond(console: Console, stage: Stage) -> list[ExecutionResult]:
    """Break the host, run the approved runbook of every incident, send what was recorded."""
    settings = stage.host_settings
    git, spool = Git(stage.folder / "executor"), Spool(stage.folder / "spool")
    host = LocalHost(
        name=settings.hostname, service_manager=settings.service_manager, supervisor_config=settings.supervisor_config
    )
    stage.break_everything()
    gate.fetch(git, settings.gate, datetime.now(UTC))
    results = []
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("runbook", "incident", "result", "verified", "took"):
        table.add_column(column, no_wrap=True)
    table.add_column("error", no_wrap=True)
    room = max(20, console.width - 68)
    for runbook_id, held in incidents(stage):
        if runbook_id == "RB-LIN-API-001":
            stage.break_dependency()
        incident = Incident.model_validate_json(json.dumps(held))
        with console.status(f"{incident.source}: {runbook_id}"):

            def order(file: RunbookFile, incident: Incident = incident) -> Order:
                now = datetime.now(UTC)
                executor = Executor(id=settings.executor_id, name="learner", version="demo")
                return Order(file, incident, host, host.facts(), executor, new_execution_id(now), incident.parameters)

            ran = pipeline.execute(git, settings.gate, runbook_id, order, now=datetime.now(UTC))
            result = pipeline.record(ran, spool)
        results.append(result)
        verdict = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "–"}[result.verification_passed]
        colour = "green" if result.success else "red"
        table.add_row(
            result.runbook_ref, escape(incident.source or ""), f"[{colour}]{result.status.value}[/]", verdict,
            f"{result.duration_seconds or 0:.1f} s", escape(_last_line(result.error_message, room)),
        )  # fmt: skip
    console.print(table)
    pushed = push(
        spool, git, "origin", client_id=settings.client_id, executor_id=settings.executor_id,
        author=LEARNER, now=datetime.now(UTC),
    )  # fmt: skip
    console.print(f"{pushed.sent} results sent to refs/learner/inbox/{settings.client_id}/{settings.executor_id}")
    return results


def _last_line(message: str | None, room: int) -> str:
    line = (message or "").strip().splitlines()[-1] if message else ""
    return line if len(line) <= room else line[: room - 1] + "…"


def _refused(console: Console, stage: Stage) -> None:
    settings = stage.host_settings

    def never(_file: RunbookFile) -> Order:
        raise LearnerError("an unapproved runbook got through the gate")

    try:
        pipeline.execute(
            Git(stage.folder / "executor"), settings.gate, "RB-LIN-SERVICE-001-v2", never, now=datetime.now(UTC)
        )
    except Refused as e:
        console.print(f"learner execute RB-LIN-SERVICE-001-v2: [red]refused[/red], {escape(e.message)}")


def _decide(console: Console, stage: Stage, numbers: Sequence[int], *, yes: bool) -> None:
    person = Person(Gateway(ForgeSettings(api_url=stage.forge.api_url), "acme/runbooks", stage.tokens["dana"]))
    if not yes:
        console.print("Read and merge the proposals here, as Dana:")
        console.print(f"  [bold link={stage.forge.login_url('dana')}]{stage.forge.login_url('dana')}[/]")
        console.print("…or press Enter, and they are merged as Dana for you.")
        _wait(person, numbers)
    for number in numbers:
        pull = person.pull(number)
        if pull.state == "open":
            person.approve(pull, "Read and understood.")
            commit = person.merge(pull)
            console.print(f"#{number} approved and merged by {person.login}: {commit[:10]} {escape(pull.title)}")
        else:
            console.print(f"#{number} was {pull.state} on the page: {escape(pull.title)}")


def _wait(person: Person, numbers: Sequence[int]) -> None:
    """Until Enter is pressed or everything is decided on the page. An input that has ended is nobody's consent."""
    import select

    listening = not sys.stdin.closed
    while any(person.pull(number).state == "open" for number in numbers):
        if not listening:
            time.sleep(1.0)
        elif select.select([sys.stdin], [], [], 1.0)[0]:
            if sys.stdin.readline():
                return
            listening = False


def _compare(console: Console, first: Sequence[ExecutionResult], second: Sequence[ExecutionResult]) -> None:
    for before, after in zip(first, second, strict=True):
        if before.runbook_id in REPAIRED:
            console.print(
                f"{before.runbook_id}: v{before.runbook_version} {before.status.value} → v{after.runbook_version} "
                f"[{'green' if after.verified else 'red'}]{after.status.value}[/]"
            )
