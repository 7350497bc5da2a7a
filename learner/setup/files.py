"""The files of a runbook repository that `learner init` writes: path → text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from learner.errors import LearnerError
from learner.setup import settings_text

AS_THEY_ARE = (
    ".github/workflows/learn.yml",
    ".github/workflows/validate.yml",
    ".github/workflows/report.yml",
    ".github/workflows/execute.yml",
    ".github/dependabot.yml",
    "runbooks/linux/RB-LIN-SERVICE-001.yaml",
)
"""This project's own files: what it runs itself is what it hands out."""
LABELS = ".github/labels.yml"
NOBODY = "@OWNER/TEAM"

_RUNBOOKS = """\
# Runbooks

One file a runbook, `<platform>/<id>.yaml`, for `linux`, `windows` and `darwin`. A new version is a change of that file
with `version` raised by one; Git keeps the old ones.

- `RB-LIN-SERVICE-001.yaml` is an example to keep, change or delete.
- Check what you write: `learner validate runbooks`
- See what a new version can touch that the old one could not: `learner audit OLD NEW`
- `patterns/` may hold repair patterns of your own, beside those that come with the learner.

What is on `main` may run on your hosts. Nothing else ever does.
"""
_TELEMETRY = """\
# Telemetry

Results do not lie here. Every run's result goes from its host to an inbox of its own, a ref under
`refs/learner/inbox/`, and the learner's job folds the inboxes into the branch `telemetry`. Branches of that size are no
good to check out; look at them with the learner:

    learner telemetry show
    learner explain EXECUTION_ID

With `telemetry.remote` in `.github/learner.yml` all of this is in a repository of its own. That is advised beyond a
trial: an executor's key can then write nothing but inboxes, and reads nothing but `main`.

What fits `schemas/execution_result.schema.json` is a result, whoever wrote it.
"""


@dataclass(frozen=True)
class Written:
    """What `write` did."""

    new: tuple[str, ...]
    kept: tuple[str, ...]
    """There before, and left alone."""


def source(path: str, package: Path = Path(__file__).parents[1]) -> str:
    """The text of a file that comes with this package: out of the installed package, or out of its checkout.

    Raises: `LearnerError` when the installation lacks it.
    """
    for place in (package / "_data/init" / path, package.parent / path):
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise LearnerError(f"this installation lacks {path}", "install the package again")


def repository_files(owners: Sequence[str], schemas: Mapping[str, str]) -> dict[str, str]:
    """Everything a runbook repository starts with; `owners` are its code owners, such as `@acme/sre`."""
    return {
        "runbooks/README.md": _RUNBOOKS,
        "telemetry/README.md": _TELEMETRY,
        **{f"schemas/{name}": text for name, text in schemas.items()},
        ".github/learner.yml": settings_text.repository_file(),
        ".github/CODEOWNERS": code_owners(owners),
        **{path: source(path) for path in AS_THEY_ARE},
    }


def code_owners(owners: Sequence[str]) -> str:
    """`.github/CODEOWNERS`; without owners, one that the forge marks as wrong until somebody is named."""
    who = " ".join(owners) or NOBODY
    advice = (
        ""
        if owners
        else f"# Replace {NOBODY} with a team or people who have write access: an owner without it is ignored.\n"
    )
    return (
        "# Who must approve a change. The last line that matches a path counts.\n"
        f"{advice}"
        f"\n/runbooks/  {who}\n/schemas/   {who}\n"
        "\n# These decide what the learner may do, and who decides: at least as strict as the runbooks.\n"
        f"/.github/   {who}\n"
    )


def write(root: Path, files: Mapping[str, str]) -> Written:
    """Write what is not there yet. Nothing is overwritten, and nothing is written through a link out of `root`.

    Raises: `LearnerError` when a folder of ours leads elsewhere.
    """
    new, kept = [], []
    home = root.resolve()
    for name, text in sorted(files.items()):
        path = root / name
        if not path.parent.resolve().is_relative_to(home):
            raise LearnerError(f"{path.parent} leads out of {root}", "make it a folder of the repository")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            kept.append(name)
        else:
            new.append(name)
    return Written(tuple(new), tuple(kept))
