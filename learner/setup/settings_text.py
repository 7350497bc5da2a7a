"""Settings as text, made from their models: the commented files that `learner init` writes, and docs/settings.md.

`python -m learner.setup.settings_text` writes `.github/learner.yml` and `docs/settings.md` of this project anew; a
test fails when one of them differs from the models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydantic import BaseModel

from learner.settings import HostSettings, RepositorySettings
from learner.strict import schema_of

REQUIRED = object()
"""The default of a setting that has none."""
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./:@-]*")
_WORDS = ("true", "false", "null")


@dataclass(frozen=True)
class Setting:
    """One line of a settings file."""

    name: str
    words: str
    kind: str
    default: Any


@dataclass(frozen=True)
class Section:
    """Settings under a common key; the outermost has no name."""

    name: str
    words: str
    settings: tuple[Setting | Section, ...]


def section(model: type[BaseModel]) -> Section:
    """A model's settings, in the order of its fields."""
    schema = schema_of(model, "", "")
    return _section("", schema, schema["$defs"])


def _section(name: str, schema: Mapping[str, Any], known: Mapping[str, Any]) -> Section:
    found: list[Setting | Section] = []
    for key, field in schema["properties"].items():
        if "$ref" in field:
            found.append(_section(key, known[field["$ref"].rpartition("/")[2]], known))
        else:
            words = " ".join(field.get("description", "").split())
            found.append(Setting(key, words, kind(field), field.get("default", REQUIRED)))
    return Section(name, " ".join(schema.get("description", "").split()), tuple(found))


def kind(field: Mapping[str, Any]) -> str:
    """What a setting may hold, in words."""
    if "anyOf" in field:
        return " or ".join(kind(one) for one in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    match field.get("type"):
        case "array":
            return f"list: {kind(field['items'])}"
        case "object":
            return f"mapping: text to {kind(field['additionalProperties'])}"
        case "integer" | "number" as name:
            return f"{'whole number' if name == 'integer' else 'number'}{_bounds(field)}"
        case "null":
            return "`null`"
    return "text"


def _bounds(field: Mapping[str, Any]) -> str:
    low, above, high = (field.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if low is not None and high is not None:
        return f", {value(low)} to {value(high)}"
    parts = []
    if low is not None:
        parts.append(f"{value(low)} or more")
    if above is not None:
        parts.append(f"above {value(above)}")
    if high is not None:
        parts.append(f"{value(high)} at most")
    return ", " + ", ".join(parts) if parts else ""


def value(held: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(held, float) and held.is_integer():
        held = int(held)
    if isinstance(held, str) and _PLAIN.fullmatch(held) and held not in _WORDS:
        return held
    return json.dumps(held, ensure_ascii=False)


def commented(top: Section, given: Mapping[str, str] | None = None) -> str:
    """Every setting with its default, commented out, and what it is for.

    Taking one `#` away from the start of each line gives YAML that says exactly the defaults. Settings in `given` stand
    there as they are.
    """
    lines: list[str] = []
    for one in top.settings:
        lines += ["", *_lines(one, "", given or {})]
    return "\n".join(lines[1:]) + "\n"


def _lines(one: Setting | Section, indent: str, given: Mapping[str, str]) -> Iterator[str]:
    mark = "##" if not indent else "#" + indent + "#"
    yield from (f"{mark} {line}" for line in wrap(one.words, 116 - len(indent)))
    if isinstance(one, Section):
        yield f"#{indent}{one.name}:"
        for inner in one.settings:
            yield from _lines(inner, indent + "  ", {})
    elif one.name in given:
        yield f"{indent}{one.name}: {value(given[one.name])}"
    else:
        yield f"#{indent}{one.name}: {value(one.default)}"


def repository_file() -> str:
    """`.github/learner.yml`, every setting at its default."""
    head = """\
# yaml-language-server: $schema=../schemas/settings.schema.json
##
## How the learner works in this repository. It is read from main, so a change of it is reviewed like any other.
## Everything below is commented out and shows its default. To set something, take the # away from its line and from the
## line of the section it stands in. docs/settings.md of the project says the same as one page.
"""
    return f"{head}\n{commented(section(RepositorySettings))}"


def host_file(client_id: str, executor_id: str, repository: str, **more: str) -> str:
    """A host's own settings, with the three that have no default."""
    head = """\
## What this host runs, and where its results go. The repository it runs runbooks of never decides any of this.
## What is commented out shows its default. To set something, take the # away from its line and from the line of the
## section it stands in.
"""
    given = {"client_id": client_id, "executor_id": executor_id, "repository": repository, **more}
    return f"{head}\n{commented(section(HostSettings), given)}"


def page() -> str:
    """docs/settings.md."""
    parts = [
        "# Settings",
        "Generated from the models by `python -m learner.setup.settings_text`; a test holds it to them.",
        "Two files, on purpose: what decides whether a runbook may run on a host is never read from the repository that"
        " the runbook comes from. Errors in either name file, line and column. Editors that know JSON Schema complete"
        " and check them by `schemas/settings.schema.json` and `schemas/host_settings.schema.json`.",
        "## The repository: `.github/learner.yml`",
        "Read from `main`, so a change is reviewed like any other. `learner init` writes one with every setting in it,"
        " commented out. Without the file the defaults hold.",
        *_tables(section(RepositorySettings), ""),
        "## The host: `/etc/learner/host.yml`",
        "Or the file that `--host-config` or `$LEARNER_HOST_CONFIG` names. Only the host's owner writes it: `learner init"
        " --host --client-id acme --executor-id web-1-agent --repository /srv/runbooks`.",
        *_tables(section(HostSettings), ""),
    ]
    return "\n\n".join(parts) + "\n"


def _tables(one: Section, prefix: str) -> Iterator[str]:
    plain = [inner for inner in one.settings if isinstance(inner, Setting)]
    if prefix:
        yield f"### `{prefix.rstrip('.')}`"
        yield one.words
    if plain:
        rows = ["| setting | default | takes | what it is for |", "|---|---|---|---|"]
        rows += [
            f"| `{prefix}{held.name}` | {'required' if held.default is REQUIRED else f'`{value(held.default)}`'} "
            f"| {_cell(held.kind)} | {_cell(held.words)} |"
            for held in plain
        ]
        yield "\n".join(rows)
    for inner in one.settings:
        if isinstance(inner, Section):
            yield from _tables(inner, f"{prefix}{inner.name}.")


def _cell(words: str) -> str:
    """Words for a cell of a Markdown table: no bar ends the cell, no `<word>` outside of code is taken for a tag."""
    parts = words.replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def files() -> dict[str, str]:
    """Path in this project → text, of everything that is made here."""
    return {".github/learner.yml": repository_file(), "docs/settings.md": page()}


if __name__ == "__main__":
    for name, text in files().items():
        Path(name).write_text(text, encoding="utf-8")
