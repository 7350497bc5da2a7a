"""docs/catalogue.md, generated from the catalogue.

python -m learner.actions.catalogue_page [--check] [FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learner.actions import Action, Catalogue, Check, catalogue

PAGE = Path("docs/catalogue.md")
HEAD = """# Catalogue

Written by `python -m learner.actions.catalogue_page` from the catalogue itself. Every step of a runbook is one of
these actions, every claim of its verification one of these checks; a proposal can hold nothing else.

Parameters: `name?` may be left out, `= value` is what it is then. Any value may be a template `{{ … }}`. *Reads only*: a
dry run really runs it. *Again*: running it a second time changes nothing more. *Undo*: another action can take it back.

**A platform with a star was never tried:** there it is written against the platform's documentation; tests check its
scripts with a grammar and its reading of documented answers, but none of it was ever run on such a host. A platform that
is missing does not have the thing: Windows has no journal and no log rotation of its own, and certbot left it.

Paths are absolute: `/srv/web`, on Windows `C:\\web` or `\\\\server\\web`; each is refused on the other's hosts. Windows is
asked by PowerShell, 5.1 or 7, by an executor on the host itself or over WinRM; hosts over SSH are POSIX hosts.
"""
_PLATFORMS = {"linux": "Linux", "darwin": "macOS", "windows": "Windows"}


def page(known: Catalogue | None = None) -> str:
    """The whole page."""
    known = known or catalogue()
    families: dict[str, list[str]] = {}
    for name, family in known.family.items():
        families.setdefault(family, []).append(name)
    parts = [HEAD]
    for family, names in families.items():
        parts.append(f"## {family}\n")
        actions = [known.actions[name] for name in names if name in known.actions]
        checks = [known.checks[name] for name in names if name in known.checks]
        if actions:
            parts.append(_table(("action", "parameters", "what it does", "platforms", "reads only", "again", "undo", "timeout"),
                                [_action(action) for action in actions]))  # fmt: skip
        if checks:
            parts.append(
                _table(("check", "parameters", "holds when", "platforms"), [_check(check) for check in checks])
            )
        parts += [note for group in (actions, checks) for thing in group for note in _notes(thing)]
    return "\n".join(parts).replace("\n\n- ", "\n- ").replace("|\n- ", "|\n\n- ")


def _action(action: Action[Any]) -> Sequence[str]:
    return (
        f"`{action.name}`", _parameters(action.Params), _words(action), _where(action), _yes(action.read_only),
        _yes(action.idempotent), _yes(action.reversible), f"{action.default_timeout_seconds:g} s",
    )  # fmt: skip


def _check(check: Check[Any]) -> Sequence[str]:
    return f"`{check.name}`", _parameters(check.Params), _words(check), _where(check)


def _notes(thing: Action[Any] | Check[Any]) -> Sequence[str]:
    """What is to be known about its parameters, a line each."""
    said = ((name, info.description) for name, info in thing.Params.model_fields.items() if info.description)
    return [f"- `{thing.name}`, `{name}`: {' '.join(words.split())}\n" for name, words in said]


def _words(thing: object) -> str:
    return " ".join((type(thing).__doc__ or "").split())


def _where(thing: Action[Any] | Check[Any]) -> str:
    return ", ".join(
        _PLATFORMS.get(platform, platform) + ("" if platform in thing.tried_on else "*") for platform in thing.platforms
    )


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _parameters(model: Any) -> str:
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    return ", ".join(_parameter(name, held, name in required) for name, held in schema.get("properties", {}).items())


def _parameter(name: str, held: Mapping[str, Any], required: bool) -> str:
    choices = held.get("enum") or ([held["const"]] if "const" in held else None)
    kind = " or ".join(map(str, choices)) if choices else ""
    default = "" if required or held.get("default") is None else f" = {_plain(held['default'])}"
    return f"`{name}{'' if required else '?'}`{f' {kind}' if kind else ''}{default}"


def _plain(value: Any) -> str:
    return "(empty)" if value in ("", [], {}) else str(value).lower() if isinstance(value, bool) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main(words: Sequence[str]) -> int:
    """Write the page, or with --check say whether it is what the catalogue says; the exit code."""
    files = [word for word in words if word != "--check"]
    path = Path(files[0]) if files else PAGE
    text = page()
    if "--check" not in words:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is not what the catalogue says: run `python -m learner.actions.catalogue_page`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
