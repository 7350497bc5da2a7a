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
@click.argument(
    "versions",
    metavar="[OLD] NEW",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option("--first", is_flag=True, help="NEW has no earlier version: everything it does is new.")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, exists=True),
    help="The results the change rests on: a .jsonl file, a .json file or a folder.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(versions: tuple[Path, ...], first: bool, evidence: Path | None, as_json: bool) -> int:
    """Say what is risky about NEW that was not so in OLD, and what NEW can touch that OLD could not.

    A runbook without an earlier version is audited whole: `learner audit --first NEW`.

    Exit code 0 up to a warning, 10 when something must not pass, 1 when a file is no runbook.
    """
    from learner.audits import Change, Evidence, run
    from learner.audits.capabilities import diff
    from learner.errors import LearnerError
    from learner.models import CapabilityDiff
    from learner.runbook_file import read

    if len(versions) != (1 if first else 2):
        raise click.UsageError("give NEW alone with --first" if first else "give OLD and NEW, or --first and NEW")
    try:
        after = read(versions[-1])
        change = Change.first(after) if first else Change(read(versions[0]), after)
    except LearnerError as e:
        if not as_json:
            raise
        message = {"rule": "loading", "level": "block", "message": e.message, "where": "", "evidence": []}
        _print_json("unloadable", [message], CapabilityDiff())
        return 1
    findings = run(change, Evidence(_results(evidence) if evidence else ()))
    capabilities = diff(change.old.runbook, after.runbook)
    verdict = findings[0].level.value if findings else "pass"
    if as_json:
        _print_json(verdict, [finding.model_dump(mode="json") for finding in findings], capabilities)
    else:
        _show(None if first else change.old.runbook.ref, after.runbook.ref, verdict, findings, capabilities)
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


def _show(old: str | None, new: str, verdict: str, findings: tuple[Finding, ...], capabilities: CapabilityDiff) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = out()
    console.print(f"{old or 'nothing'} → {new}: [{_STYLES.get(verdict, 'green')}]{verdict}[/]")
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
