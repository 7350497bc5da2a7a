"""`learner audit`: a new runbook version, held against the old one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from learner.console import document, out, warn

if TYPE_CHECKING:
    from learner.models import CapabilityDiff, ExecutionResult, Finding

_STYLES = {"block": "bold red", "warning": "yellow", "notice": "cyan", "info": "dim"}


@click.command()
@click.argument("old", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("new", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, exists=True),
    help="The results the change rests on: a .jsonl file, a .json file or a folder.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(old: Path, new: Path, evidence: Path | None, as_json: bool) -> int:
    """Say what is risky about NEW that was not so in OLD, and what NEW can touch that OLD could not.

    Exit code 0 up to a warning, 10 when something must not pass, 1 when a file is no runbook.
    """
    from learner.audits import Change, Evidence, run
    from learner.audits.capabilities import diff
    from learner.errors import LearnerError
    from learner.models import CapabilityDiff
    from learner.runbook_file import read

    try:
        before, after = read(old), read(new)
    except LearnerError as e:
        if not as_json:
            raise
        message = {"rule": "loading", "level": "block", "message": e.message, "where": "", "evidence": []}
        _print_json("unloadable", [message], CapabilityDiff())
        return 1
    findings = run(Change(before, after), Evidence(_results(evidence) if evidence else ()))
    capabilities = diff(before.runbook, after.runbook)
    verdict = findings[0].level.value if findings else "pass"
    if as_json:
        _print_json(verdict, [finding.model_dump(mode="json") for finding in findings], capabilities)
    else:
        _show(before.runbook.ref, after.runbook.ref, verdict, findings, capabilities)
    return 10 if verdict == "block" else 0


def _results(path: Path) -> tuple[ExecutionResult, ...]:
    from learner.telemetry.plain import plain

    results = []
    for name, found in plain(path):
        if isinstance(found, str):
            warn(f"{name}: {found}")
        else:
            results.append(found)
    return tuple(results)


def _print_json(verdict: str, findings: list[dict[str, Any]], capabilities: CapabilityDiff) -> None:
    document({"verdict": verdict, "findings": findings, "capabilities": capabilities.model_dump(mode="json")})


def _show(old: str, new: str, verdict: str, findings: tuple[Finding, ...], capabilities: CapabilityDiff) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = out()
    console.print(f"{old} → {new}: [{_STYLES.get(verdict, 'green')}]{verdict}[/]")
    changes = [
        ("+", "green", capabilities.added),
        ("−", "red", capabilities.removed),
        ("↔", "yellow", capabilities.widened),
    ]
    for sign, colour, phrases in changes:
        for phrase in phrases:
            console.print(f"  [{colour}]{sign}[/] {escape(phrase)}")
    if not findings:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("level", "rule", "where", "what"):
        table.add_column(column)
    for finding in findings:
        level = f"[{_STYLES[finding.level.value]}]{finding.level.value}[/]"
        table.add_row(level, finding.rule, escape(finding.where), escape(finding.message))
    console.print(table)
