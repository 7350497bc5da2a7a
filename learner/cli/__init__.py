"""The command line: one module a command, loaded when it is asked for; one boundary for errors.

Exit codes: 0 done, 1 an expected error, 2 usage, 3 finished but some inputs were skipped, 10 a gate or a block
refused, 70 a bug, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from learner.errors import LearnerError

COMMANDS = {
    "demo": "The whole loop on this machine, in a minute.",
    "init": "Set a repository or a host up.",
    "validate": "Check runbooks and results.",
    "execute": "Run an approved runbook for an incident.",
    "telemetry": "Send, fold, read, import and export results.",
    "learn": "Read what is new and open pull requests.",
    "plan": "The half of learn that needs no write token.",
    "apply": "The half of learn that talks to no model.",
    "review": "Read, approve, send back or reject proposals, as a person.",
    "gate": "What may run here, and why.",
    "audit": "Hold a new runbook version against the old one.",
    "report": "Metrics and alerts.",
    "explain": "The journey of one failure, hop by hop.",
    "doctor": "What is wrong with this installation.",
    "schema": "Write the JSON Schemas.",
    "forge": "The local forge: a stand-in for GitHub on loopback.",
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports one when it is used, so that `--help` starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"learner.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="runbook-learner", prog_name="learner")
def cli() -> None:
    """Runbooks that get better from their own failures, one reviewed pull request at a time.

    Try it: learner demo
    """


def main(argv: list[str] | None = None) -> None:
    """Run a command line and exit."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """Run a command line; its exit code. Expected errors become one line and a hint, bugs a trace and a way to report."""
    from learner.console import err

    try:
        code = cli.main(argv, prog_name="learner", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.Abort:
        err().print("interrupted")
        return 130
    except KeyboardInterrupt:
        err().print("interrupted")
        return 130
    except click.ClickException as e:
        e.show()
        return e.exit_code
    except LearnerError as e:
        _say(e)
        return e.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        hint = "free some space and run again; nothing half done is left" if e.errno == 28 else None
        _say(LearnerError(f"{where}{e.strerror or e}", hint))
        return 1
    except Exception:
        err().print_exception(max_frames=8)
        err().print("[red]This is a bug of ours.[/red] Please report it with the lines above and the command you gave.")
        return 70


def _say(e: LearnerError) -> None:
    from rich.markup import escape

    from learner.console import err

    err().print(f"[red]error:[/red] {escape(e.message)}")
    if e.hint:
        err().print(f"[dim]next:[/dim]  {escape(e.hint)}")
