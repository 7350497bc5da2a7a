"""`docs/cli.md`, written from the commands themselves: `python -m learner.cli.reference [--check]`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from learner.cli import COMMANDS, cli

PAGE = Path("docs/cli.md")
HEAD = """\
# Command line

Written by `python -m learner.cli.reference` from the commands themselves; a test fails when it drifts.

Results go to standard output, progress and logs to standard error. With `--json` there is exactly one JSON document on standard output.

| exit code | means |
|---|---|
| 0 | done; also "nothing to do" |
| 1 | an expected error, one line and what to do next |
| 2 | wrong usage |
| 3 | finished, but some inputs were skipped; each is named on standard error |
| 10 | a gate or a block refused |
| 70 | a bug, with how to report it |
| 130 | interrupted |

| command | |
|---|---|
"""


def text() -> str:
    """The whole page, in Markdown."""
    rows = "".join(f"| [`learner {name}`](#learner-{name}) | {words} |\n" for name, words in COMMANDS.items())
    root = click.Context(cli, info_name="learner")
    parts = []
    for name in COMMANDS:
        command = cli.get_command(root, name)
        if command is not None:
            parts += list(_sections(command, click.Context(command, info_name=name, parent=root), 2))
    return HEAD + rows + "\n" + "\n".join(parts)


def _sections(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    """The section of `command`, and those of the commands below it."""
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"{'#' * level} {context.command_path}", "", "```text", f"{context.command_path} {usage}", "```", ""]
    if command.help:
        lines += [_prose(command.help), ""]
    rows = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    rows = [(names, words) for names, words in rows if "--help" not in names]
    if rows:
        lines += ["| option | |", "|---|---|", *(f"| `{_cell(names)}` | {_cell(words)} |" for names, words in rows), ""]
    yield "\n".join(lines)
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _sections(below, click.Context(below, info_name=name, parent=context), level + 1)


def _prose(help_text: str) -> str:
    """The docstring as paragraphs: one line each, whatever the width it was written in."""
    paragraphs = inspect.cleandoc(help_text).replace("\b\n", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("<", "&lt;")


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when the page is not what it would be.")
def command(check: bool) -> None:
    """Write docs/cli.md, from the root of the project."""
    wanted = text()
    if not check:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        raise click.ClickException(f"{PAGE} is not what the commands say: run python -m learner.cli.reference")


if __name__ == "__main__":
    command()
