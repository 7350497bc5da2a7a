"""`learner schema`: the JSON Schemas, generated from the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from learner.console import out
from learner.errors import LearnerError


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema, of everything that other programs read or write."""
    from learner.models import ExecutionResult, Incident, Plan, Runbook, RunbookEdit
    from learner.settings import HostSettings, RepositorySettings
    from learner.strict import schema_of

    models: dict[str, tuple[Any, str]] = {
        "runbook": (Runbook, "Runbook"),
        "execution_result": (ExecutionResult, "Execution result"),
        "incident": (Incident, "Incident"),
        "runbook_edit": (RunbookEdit, "Runbook edit"),
        "plan": (Plan, "Plan"),
        "settings": (RepositorySettings, "Repository settings"),
        "host_settings": (HostSettings, "Host settings"),
    }
    return {
        f"{name}.schema.json": schema_of(model, title, f"{name}.schema.json") for name, (model, title) in models.items()
    }


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a file differs from its model.")
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), default=Path("schemas"), show_default=True
)
def command(check: bool, directory: Path) -> None:
    """Write the JSON Schemas of runbooks, results, incidents, edits, plans and settings.

    The pydantic models are the source; what a schema accepts its model accepts, and the other way round.
    """
    texts = {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()}
    if check:
        stale = [name for name, text in texts.items() if _read(directory / name) != text]
        if stale:
            raise LearnerError(
                f"{directory}: {', '.join(stale)} differ from the models", "run `learner schema` and commit"
            )
        out().print(f"{len(texts)} schemas are what the models say")
        return
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    out().print(f"{len(texts)} schemas written to {directory}")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
