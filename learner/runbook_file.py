"""Runbook files: loading them with errors that name their place. Changing them is `proposals.edit`'s."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from learner.errors import LearnerError
from learner.models.problems import problems
from learner.models.runbook import Runbook
from learner.repository.objects import blob_id
from learner.yaml_tree import Problem, Tree, YamlError, load


class InvalidRunbook(LearnerError):
    """A file that is no runbook; `problems` says where and what."""

    def __init__(self, name: str, found: tuple[Problem, ...]) -> None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(
            f"{name}:{found[0]}{more}",
            "`learner validate` lists everything; schemas/runbook.schema.json helps an editor",
        )
        self.name = name
        self.problems = found


@dataclass(frozen=True)
class RunbookFile:
    """A runbook with the bytes it was read from."""

    runbook: Runbook
    text: bytes
    tree: Tree

    @property
    def blob(self) -> str:
        """The Git blob id of the bytes (SHA-1)."""
        return blob_id(self.text)


def parse(text: bytes, name: str = "runbook") -> RunbookFile:
    """The runbook in `text`.

    Raises: `InvalidRunbook` with every problem found: bad YAML, a value of the wrong kind, an unknown action or
    parameter, a name that nothing defines.
    """
    try:
        tree = load(text)
    except YamlError as e:
        raise InvalidRunbook(name, (e.problem,)) from e
    try:
        runbook = Runbook.model_validate_json(json.dumps(tree.value))
    except ValidationError as e:
        errors = e.errors(include_url=False)
        # A list whose items are wrong is also called too short; the items' own errors say it better.
        errors = [x for x in errors if x["type"] != "too_short" or not any(_inside(y["loc"], x["loc"]) for y in errors)]
        raise InvalidRunbook(name, tuple(_problem(tree, error) for error in errors)) from e
    found = tuple(Problem(words, *tree.place(loc)) for loc, words in problems(runbook))
    if found:
        raise InvalidRunbook(name, found)
    return RunbookFile(runbook, text, tree)


def read(path: Path) -> RunbookFile:
    """The runbook in a file.

    Raises: `InvalidRunbook`; `LearnerError` when the file can't be read.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as e:
        raise LearnerError(f"{path}: {e.strerror}", "check the path") from e


def _inside(loc: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(loc) > len(outer) and loc[: len(outer)] == outer


def _problem(tree: Tree, error: ErrorDetails) -> Problem:
    loc = error["loc"]
    words = str(error["msg"]).removeprefix("Value error, ")
    where = ".".join(str(part) for part in loc)
    if error["type"] == "extra_forbidden":
        words = "there is no such field here"
    return Problem(f"{where}: {words}" if where else words, *tree.place(loc))
