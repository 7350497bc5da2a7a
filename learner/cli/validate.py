"""`learner validate`: runbooks and results, held against their models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from learner.console import document, out


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document: an object a file.")
@click.option(
    "--since",
    metavar="REVISION",
    help="Also refuse runbooks whose bytes changed since REVISION under an unchanged version.",
)
def command(paths: tuple[Path, ...], as_json: bool, since: str | None) -> int:
    """Check runbooks (*.yaml) and results (*.json, *.jsonl), in files and folders.

    Errors name file, line and column. Exit code 1 when a file is wrong.
    """
    found = [
        verdict
        | ({"errors": _unversioned(path, since)} if since and verdict["ok"] and verdict["kind"] == "runbook" else {})
        for path in _files(paths)
        for verdict in _judge(path)
    ]
    for verdict in found:
        verdict["ok"] = not verdict["errors"]
    if as_json:
        document(found)
    else:
        for verdict in found:
            for error in verdict["errors"]:
                click.echo(f"{verdict['path']}:{error['line']}:{error['column']}: {error['message']}")
        wrong = sum(not verdict["ok"] for verdict in found)
        out().print(f"{len(found)} checked, {wrong} wrong" if wrong else f"{len(found)} checked, all right")
    return 1 if any(not verdict["ok"] for verdict in found) else 0


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix in (".yaml", ".yml", ".json", ".jsonl") and p.is_file())
            yield from sorted(
                p for p in inside if "patterns" not in p.relative_to(path).parts and path.name != "patterns"
            )
        else:
            yield path


def _judge(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix in (".yaml", ".yml"):
        yield _verdict(path, "runbook", _runbook_errors(path))
    elif path.suffix == ".jsonl":
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if line.strip():
                yield _verdict(path, "execution_result", result_errors(line, number))
    else:
        yield _verdict(path, "execution_result", result_errors(path.read_bytes(), None))


def _verdict(path: Path, kind: str, errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {"path": str(path), "kind": kind, "ok": not errors, "errors": errors}


def _runbook_errors(path: Path) -> list[dict[str, Any]]:
    from learner.runbook_file import InvalidRunbook, read

    try:
        held = read(path)
    except InvalidRunbook as e:
        return [{"line": p.line, "column": p.column, "message": p.message} for p in e.problems]
    if path.stem != held.runbook.id and path.parent.name in ("linux", "windows", "darwin"):
        line, column = held.tree.place(("id",))
        return [
            {
                "line": line,
                "column": column,
                "message": f"the file is called {path.name}, the runbook {held.runbook.id}",
            }
        ]
    return []


def result_errors(text: bytes, line: int | None) -> list[dict[str, Any]]:
    """What is wrong with a result: `line`, `column` and `message` of each error; `line` is where JSON Lines hold it."""
    from pydantic import ValidationError

    from learner.models import ExecutionResult
    from learner.yaml_tree import YamlError, load

    try:
        ExecutionResult.model_validate_json(text)
    except ValidationError as e:
        try:
            places = load(text) if line is None else None
        except YamlError:
            places = None
        found = []
        for error in e.errors(include_url=False):
            where = ".".join(map(str, error["loc"]))
            words = str(error["msg"]).removeprefix("Value error, ")
            at = places.place(error["loc"]) if places else (line or 1, 1)
            if (
                broken := re.search(r" at line ([0-9]+) column ([0-9]+)$", words)
                if error["type"] == "json_invalid"
                else None
            ):
                at, words = (line or int(broken[1]), int(broken[2])), words[: broken.start()]
            found.append({"line": at[0], "column": at[1], "message": f"{where}: {words}" if where else words})
        return found
    return []


def _unversioned(path: Path, since: str | None) -> list[dict[str, Any]]:
    """Changed bytes under an unchanged version: nobody could tell the two apart afterwards."""
    from learner.errors import LearnerError
    from learner.repository.git import Git
    from learner.runbook_file import parse, read

    git = Git(path.resolve().parent)
    relative = git.text("ls-files", "--full-name", "--", path.name) or path.name
    old = git.blob(str(since), relative)
    if old is None:
        return []
    try:
        before = parse(old).runbook
    except LearnerError:
        return []
    new = read(path)
    line, column = new.tree.place(("version",))
    if new.text != old and new.runbook.version == before.version:
        words = f"changed, but still version {before.version}; raise it to {before.version + 1}"
    elif new.runbook.version not in (before.version, before.version + 1):
        words = f"version {new.runbook.version} follows {before.version}; it must be {before.version + 1}"
    else:
        return []
    return [{"line": line, "column": column, "message": words}]
