"""Commands and scripts of the runbook's own. Parameters reach a script as environment variables, never as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Check, Outcome, Probe
from learner.actions.host import Deadline, Host, HostError
from learner.actions.paths import HostPath, is_windows, misplaced
from learner.actions.powershell import POWERSHELL
from learner.facts import Facts, Path, get
from learner.strict import Integral, Strict, Text

ExitCodes = Annotated[tuple[Annotated[int, Field(ge=0, le=255), Integral], ...], Field(min_length=1)]
Argv = Annotated[tuple[Text, ...], Field(min_length=1)]
Environment = Annotated[dict[str, str], Field(max_length=64)]

SHELLS: Mapping[str, tuple[str, ...]] = {
    "sh": ("sh", "-eu", "-c"),
    "bash": ("bash", "-euo", "pipefail", "-c"),
    "python": ("python3", "-c"),
    "powershell": POWERSHELL,
}


class RunCommandParams(Strict):
    argv: Argv
    cwd: HostPath | None = None
    env: Environment = {}
    stdin: str | None = None
    success_exit_codes: ExitCodes = (0,)


class RunScriptParams(Strict):
    shell: Literal["sh", "bash", "powershell", "python"]
    script: Text
    env: Environment = {}
    success_exit_codes: ExitCodes = (0,)


class CommandParams(Strict):
    argv: Argv
    env: Environment = {}


class RunCommand(Action[RunCommandParams]):
    """Run a program with its arguments, without a shell."""

    name = "run_command"
    Params = RunCommandParams
    platforms = EVERYWHERE
    idempotent = False

    def capabilities(self, p: RunCommandParams) -> Capabilities:
        return Capabilities(
            commands=frozenset({p.argv[0]}),
            paths=frozenset(a for a in p.argv[1:] if a.startswith("/") or is_windows(a))
            | ({p.cwd} if p.cwd else set()),
        )

    def run(self, p: RunCommandParams, host: Host, deadline: Deadline) -> Outcome:
        if why := misplaced(p.cwd, host.platform):
            return Outcome.failed(f"refused: {why}")
        done = host.run(p.argv, timeout_seconds=deadline.remaining(), env=p.env, cwd=p.cwd, stdin=p.stdin)
        return Outcome.of(done, success_exit_codes=p.success_exit_codes)


class RunScript(Action[RunScriptParams]):
    """Run a script; give it values through `env`, templates in its text are refused."""

    name = "run_script"
    Params = RunScriptParams
    platforms = EVERYWHERE
    idempotent = False

    def capabilities(self, p: RunScriptParams) -> Capabilities:
        return Capabilities(commands=frozenset({f"a {p.shell} script"}))

    def run(self, p: RunScriptParams, host: Host, deadline: Deadline) -> Outcome:
        shell = ("python", "-c") if (p.shell, host.platform) == ("python", "windows") else SHELLS[p.shell]
        done = host.run([*shell, p.script], timeout_seconds=deadline.remaining(), env=p.env)
        return Outcome.of(done, success_exit_codes=p.success_exit_codes)


@dataclass(frozen=True)
class CommandProbe(Probe):
    """`commands["<argv>"]`: the exit code of a command that only looks."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("commands", " ".join(self.argv)),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            done = host.run(self.argv, timeout_seconds=min(timeout_seconds, 30.0), env=dict(self.env))
        except HostError:
            return {self.paths[0]: UNKNOWN}
        return {self.paths[0]: UNKNOWN if done.timed_out else done.exit_code}


class CommandSucceeds(Check[CommandParams]):
    """The command exits with 0."""

    name = "command_succeeds"
    Params = CommandParams
    platforms = EVERYWHERE

    def probe(self, p: CommandParams) -> Probe:
        return CommandProbe(p.argv, tuple(p.env.items()))

    def holds(self, p: CommandParams, state: Mapping[str, Any]) -> bool | None:
        value = get(state, ("commands", " ".join(p.argv)), UNKNOWN)
        return None if value == UNKNOWN else bool(value == 0)

    def capabilities(self, p: CommandParams) -> Capabilities:
        return Capabilities(commands=frozenset({p.argv[0]}))


ACTIONS = (RunCommand(), RunScript())
CHECKS = (CommandSucceeds(),)
