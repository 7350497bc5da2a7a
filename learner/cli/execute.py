"""`learner execute`: run an approved runbook for an incident, on this host or on others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from learner.console import document, err, out, tell, warn
from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.cli.running import Done
    from learner.models.execution import ExecutionResult, StepExecution

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("execute")
@click.argument("runbook", required=False)
@click.option("--host-config", type=_FILE, help="This host's settings.")
@click.option("--incident", "incident_file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
              help="Our JSON, an Alertmanager v4 webhook body or a PagerDuty v3 event; - for standard input.")  # fmt: skip
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the runbook.")
@click.option("--param-env", "param_envs", multiple=True, metavar="NAME=VARIABLE",
              help="A parameter whose value stands in an environment variable: for secrets.")  # fmt: skip
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="ADDRESS",
    help="local, ssh://user@host[:port], winrm://user@host.  [default: local]",
)
@click.option("--hosts-file", type=_FILE, help="One address a line.")
@click.option("--parallel", type=click.IntRange(1, 64), default=5, show_default=True, help="Hosts at once.")
@click.option("--become", is_flag=True, help="Everything with an administrator's rights, by the host setting `become`.")
@click.option("--dry-run", is_flag=True, help="Show what would run; touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--fetch/--no-fetch", default=True, show_default=True, help="Fetch main first.")
@click.option("--push/--no-push", default=True, show_default=True, help="Send the results when all is done.")
def command(
    runbook: str | None, host_config: Path | None, incident_file: Path | None, params: tuple[str, ...], param_envs: tuple[str, ...],
    hosts: tuple[str, ...], hosts_file: Path | None, parallel: int, become: bool, dry_run: bool, as_json: bool, fetch: bool, push: bool,
) -> int:  # fmt: skip
    """Run RUNBOOK (an id such as RB-LIN-SERVICE-001, or a version such as RB-LIN-SERVICE-001-v2).

    Without RUNBOOK the one that fits the incident is chosen. A password that sudo asks for is read from the environment
    variable LEARNER_BECOME_PASSWORD and handed on by standard input alone. Exit codes: 0 it worked, 1 it failed or was cut short,
    3 it was skipped by its preconditions, 10 it may not run here, 130 interrupted.
    """
    if runbook is None and incident_file is None:
        raise click.UsageError("name a RUNBOOK, or give an --incident to choose one by")
    given = _given(params, param_envs)
    from learner.cli import running
    from learner.executor.cancel import on_signals
    from learner.executor.hosts import LOCAL
    from learner.settings import host_settings

    settings = host_settings(host_config)
    incidents = running.incidents_in(incident_file, settings.client_id) if incident_file else (None,)
    addresses = [*hosts, *(running.hosts_in(hosts_file) if hosts_file else [])]
    if not incidents:
        tell("the incident is over: nothing to do")
    several = len(addresses) > 1
    site = running.Site(settings, tell, lambda host, step: _say_step(host if several else "", step))
    # Taken out of the environment: no command is to inherit it.
    site.become_password = os.environ.pop("LEARNER_BECOME_PASSWORD", None) or None
    if not dry_run:
        site.recover()
    if fetch and (why := site.fetch()):
        warn(f"could not fetch: {why}; going on with what was fetched last")
    done: list[Done] = []
    with on_signals(site.cancellation):
        for incident in incidents:
            wanted = running.Wanted(runbook, incident, given, dry_run, become, bool(addresses))
            done += site.everywhere(wanted, list(dict.fromkeys(addresses)) or [LOCAL], parallel)
    if push and not dry_run and any(one.result for one in done):
        try:
            tell(site.push())
        except LearnerError as e:
            warn(f"could not send: {e.message}; the results are safe in {settings.spool}")
    if as_json:
        document({"dry_run": dry_run, "results": [_json(one) for one in done if one.result],
                  "refused": [_refusal(one) for one in done if one.refused]})  # fmt: skip
    else:
        for one in done:
            _show(one)
        if len(done) > 1:
            _overview(done)
    if site.cancellation.asked:
        return 130
    return max((one.exit_code for one in done), default=0)


def _given(params: tuple[str, ...], param_envs: tuple[str, ...]) -> dict[str, Any]:
    """The parameters of the command line, as text; their types are the runbook's to say."""
    given: dict[str, Any] = {}
    for option, pairs in (("--param", params), ("--param-env", param_envs)):
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not name or not equals:
                raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint=option)
            if option == "--param-env":
                if value not in os.environ:
                    raise LearnerError(f"the environment has no variable {value}", f"set it, for the parameter {name}")
                value = os.environ[value]
            given[name] = value
    return given


def _say_step(host: str, step: StepExecution) -> None:
    from rich.markup import escape

    mark = "[dim]–[/dim]" if step.skipped else "[green]✓[/green]" if step.success else "[red]✗[/red]"
    where = f"{escape(host)} " if host else ""
    words = f"{where}{step.step_number}. {step.step_id or ''} {step.action}"
    tail = "left out" if step.skipped else f"{step.duration_seconds or 0:.1f} s"
    err().print(
        f"{mark} {escape(words)} [dim]{tail}[/dim]" + ("" if step.success else f"  {escape(_last(step.error))}")
    )


def _json(done: Done) -> dict[str, Any]:
    assert done.result
    whole = done.result.model_dump(mode="json")
    if not done.dry:
        return whole
    kept = (
        "runbook_id",
        "runbook_version",
        "runbook_blob",
        "incident_id",
        "incident_type",
        "hostname",
        "platform",
        "parameters",
    )
    return {key: whole[key] for key in kept} | {
        "state": whole["state_before"],
        "skipped": whole["notes"],
        "stops_at": whole["error_message"],
        "steps": [
            {"step_id": s.step_id, "phase": s.phase, "action": s.action, "params": s.params, "really_ran": _really_ran(s),
             "left_out": s.skipped, "words": s.output if s.success else s.error, "would_change": s.state_changes}
            for s in done.result.executed_steps
        ],
        "checks": [{"id": check.id, "check": check.check, "params": check.params} for check in done.result.checks],
    }  # fmt: skip


def _really_ran(step: StepExecution) -> bool:
    return not step.skipped and step.attempts > 0 and not step.data.get("dry_run")


def _refusal(done: Done) -> dict[str, Any]:
    assert done.refused
    return {"host": done.host, "error": done.refused.message, "hint": done.refused.hint, "exit_code": done.exit_code}


def _show(done: Done) -> None:
    from rich.markup import escape

    if done.refused:
        err().print(
            f"[red]{'refused' if done.exit_code == 10 else 'error'}:[/red] {escape(done.host)}: {escape(done.refused.message)}"
        )
        if done.refused.hint:
            err().print(f"[dim]next:[/dim]  {escape(done.refused.hint)}")
        return
    assert done.result
    if done.dry:
        _show_dry(done.result)
    else:
        _show_result(done.result)


def _show_result(result: ExecutionResult) -> None:
    from rich.markup import escape
    from rich.table import Table

    colour = {"success": "green", "failure": "red"}.get(result.status.value, "yellow")
    verified = {True: "verified", False: "[red]verification failed[/red]", None: "not verified"}[
        result.verification_passed
    ]
    out().print(f"\n[bold]{result.runbook_ref}[/bold] on {escape(result.hostname)} for {escape(result.incident_id)}: "
                f"[{colour}]{result.status.value}[/], {verified}, {result.duration_seconds or 0:.1f} s")  # fmt: skip
    if result.notes:
        out().print(escape(result.notes))
    if result.manual_intervention_needed:
        out().print("[yellow]a person is needed[/yellow]")
    steps = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("#", "step", "action", "", "tries", "seconds", "error"):
        steps.add_column(column, overflow="fold")
    for step in result.executed_steps:
        name = (step.step_id or "") + ("" if step.phase == "step" else f" ({step.phase})")
        said = "left out" if step.skipped else "[green]ok[/green]" if step.success else "[red]failed[/red]"
        steps.add_row(str(step.step_number), name, step.action, said, str(step.attempts), f"{step.duration_seconds or 0:.1f}",
                      "" if step.success else escape(_last(step.error)))  # fmt: skip
    if result.executed_steps:
        out().print(steps)
    for check in result.checks:
        mark = {True: "[green]holds[/green]", False: "[red]does not hold[/red]", None: "[yellow]unknown[/yellow]"}[
            check.passed
        ]
        out().print(
            f"check {check.id} ({check.check}): {mark}, saw {escape(str(check.observed))} after {check.waited_seconds:.1f} s"
        )
    for path, change in list((result.state_diff or {}).items())[:20]:
        out().print(
            f"[dim]{escape(path)}: {escape(str(change.get('before')))} → {escape(str(change.get('after')))}[/dim]"
        )
    if result.error_message:
        out().print(f"[red]{escape(_last(result.error_message))}[/red]")
    out().print(f"[dim]kept as {result.execution_id}[/dim]")


def _show_dry(result: ExecutionResult) -> None:
    import json

    from rich.markup import escape

    out().print(f"\n[bold]{result.runbook_ref}[/bold] on {escape(result.hostname)}: a dry run, nothing was touched")
    if result.notes:
        out().print(f"[yellow]it would be skipped:[/yellow] {escape(result.notes)}")
    for step in result.executed_steps:
        params = json.dumps(step.params, ensure_ascii=False)
        words = "left out: its `when` does not hold" if step.skipped else step.output if step.success else step.error
        ran = "really ran: " if _really_ran(step) else ""
        out().print(
            f"{step.step_number}. {step.step_id} {step.action} {escape(params)}\n   {escape(ran + words.strip())}"
        )
    if result.error_message:
        out().print(f"[yellow]it would stop here, as things are now:[/yellow] {escape(_last(result.error_message))}")
    for check in result.checks:
        out().print(f"then check {check.id}: {check.check} {escape(json.dumps(check.params, ensure_ascii=False))}")


def _overview(done: list[Done]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("host", "runbook", "result", "verified", "seconds", "error"):
        table.add_column(column, overflow="fold")
    for one in done:
        if one.result is None:
            assert one.refused
            table.add_row(escape(one.host), "", "refused", "", "", escape(one.refused.message))
            continue
        verified = {True: "yes", False: "no", None: "unknown"}[one.result.verification_passed]
        table.add_row(escape(one.host), one.result.runbook_ref, one.result.status.value, verified,
                      f"{one.result.duration_seconds or 0:.1f}", escape(_last(one.result.error_message or "")))  # fmt: skip
    out().print()
    out().print(table)


def _last(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[-1][:200] if lines else ""
