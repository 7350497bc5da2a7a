"""Commands out of Markdown: fenced `console` and `sh` blocks, and what the comment before them says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- (?P<what>not run|runs as): (?P<words>[^\n]+?) -->\n+)?^(?P<indent> *)```(?P<kind>console|sh|bash)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """Commands that stand together. `not_run` says why nobody can run them here."""

    path: Path
    line: int
    script: str
    shown: tuple[str, ...] = ()
    """Lines of output that the document shows; `…` stands for anything."""
    not_run: str | None = None
    role: str = "learner"

    def misses(self, output: str) -> list[str]:
        """Shown lines that `output` does not hold."""
        held = [" ".join(line.split()) for line in output.splitlines()]
        wanted = {line: ".*".join(re.escape(" ".join(part.split())) for part in line.split("…")) for line in self.shown}
        return [line for line, pattern in wanted.items() if not any(re.search(pattern, one) for one in held)]


def blocks(path: Path) -> list[Block]:
    """All of one document, in order."""
    text = path.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("kind")) + 1
        body = [held.removeprefix(match["indent"]) for held in match["text"].splitlines()]
        script, shown = _console(body) if match["kind"] == "console" else ("\n".join(body), [])
        reason = match["words"] if match["what"] == "not run" else None
        role = match["words"] if match["what"] == "runs as" else "learner"
        found.append(Block(path, line, script, tuple(shown), reason, role))
    return found


def _console(lines: list[str]) -> tuple[str, list[str]]:
    """Lines after `$ ` are commands, and after `> ` what carries them on; the rest is what they print."""
    commands, shown = [], []
    for line in lines:
        if line.startswith(("$ ", "> ")):
            commands.append(line[2:])
        elif line.strip():
            shown.append(line)
    return "\n".join(commands), shown
