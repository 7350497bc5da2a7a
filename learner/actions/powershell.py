"""Questions to Windows: PowerShell texts of ours, whose values travel in the environment and whose answers are JSON.

The texts hold for Windows PowerShell 5.1, which every Windows has, and for PowerShell 7. They are written against
Microsoft's documentation; the tests read them with a PowerShell grammar and feed answers of the documented form back,
but nothing here was ever run on Windows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from learner.actions.base import Outcome
from learner.actions.host import Completed, Host

POWERSHELL = ("powershell", "-NoProfile", "-NonInteractive", "-Command")

# An answer is one line of ASCII, whatever code page the host writes in; so is what went wrong, in the host's language.
_FRAME = r"""$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
function Answer($Value) {
  $text = ConvertTo-Json -InputObject $Value -Depth 5 -Compress
  [regex]::Replace($text, '[^ -~]', { param($found) '\u{0:x4}' -f [int][char]$found.Value })
}
function Seconds($Time) { [int64][Math]::Floor(($Time.ToUniversalTime() - (New-Object DateTime 1970, 1, 1)).TotalSeconds) }
try {
%s
} catch { Answer @{ error = [string]$_.Exception.Message }; exit 1 }"""


@dataclass(frozen=True)
class Script:
    """A text that reads its values as `$env:LEARNER_<NAME>` and says what it found by `Answer @{ … }`.

    `Seconds $time` is a time as seconds since the epoch.
    """

    body: str
    gives: tuple[str, ...] = ()
    """What its answer holds."""

    @property
    def text(self) -> str:
        """The whole text as it is run."""
        return _FRAME % self.body.strip("\n")

    def run(self, host: Host, timeout_seconds: float, **values: str | float) -> Completed:
        """Run it with its values; nothing of them becomes part of the text."""
        env = {f"LEARNER_{name.upper()}": str(value) for name, value in values.items()}
        return host.run([*POWERSHELL, self.text], timeout_seconds=max(1.0, timeout_seconds), env=env)

    def ask(self, host: Host, timeout_seconds: float, **values: str | float) -> dict[str, Any] | Outcome:
        """What it answered; or the failure, in the words of the host."""
        done = self.run(host, timeout_seconds, **values)
        said = _answer(done.stdout)
        if done.timed_out:
            return Outcome.of(done)
        if done.dropped_bytes:
            return Outcome.failed("the answer is too long to be read", exit_code=done.exit_code or 1)
        if done.success and said is not None and set(self.gives) <= said.keys():
            return said
        words = str(said["error"]) if said and "error" in said else done.stderr.strip() or "PowerShell gave no answer"
        return Outcome.failed(words, exit_code=done.exit_code or 1)


def _answer(stdout: str) -> dict[str, Any] | None:
    """The last line that was said, when it is an answer."""
    lines = stdout.strip().splitlines()
    try:
        held = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return held if isinstance(held, dict) else None
