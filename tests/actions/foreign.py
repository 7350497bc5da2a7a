"""A host of another platform: it notes what it is asked, and answers what a test has prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from learner.actions import catalogue
from learner.actions.base import Outcome
from learner.actions.host import Completed, Deadline, FileStat
from learner.executor.hosts.local import LocalHost
from learner.executor.service_managers.windows import WindowsServices
from learner.facts import merged


def says(**answer: Any) -> Completed:
    """What a script of ours prints when it answers, with the line end of Windows."""
    return Completed(0, json.dumps(answer) + "\r\n")


def fails(message: str) -> Completed:
    """What it prints when the host says no."""
    return Completed(1, json.dumps({"error": message}) + "\r\n")


@dataclass
class Foreign(LocalHost):
    """Answers are given in their order; the last one is given again."""

    platform: str = "windows"
    answers: list[Completed] = field(default_factory=list)
    name: str = "win-1"
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[tuple[str, ...], dict[str, str]]] = field(default_factory=list)
    written: dict[str, tuple[bytes, str | None]] = field(default_factory=dict)

    @property
    def services(self) -> WindowsServices:
        return WindowsServices(self)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **_: Any) -> Completed:
        self.asked.append((tuple(argv), dict(env or {})))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] if self.answers else Completed(0)

    def stat(self, path: str) -> FileStat | None:
        held = self.files.get(path)
        return None if held is None else FileStat("file", len(held), "0666", "SYSTEM", 1_790_000_000.0)

    def read_file(self, path: str, limit_bytes: int = 1 << 20) -> bytes:
        return self.files[path][:limit_bytes]

    def write_file(self, path: str, content: bytes, mode: str | None = None) -> None:
        self.files[path] = content
        self.written[path] = (content, mode)

    @property
    def values(self) -> dict[str, str]:
        """What the last script was given."""
        return {name.removeprefix("LEARNER_").lower(): value for name, value in self.asked[-1][1].items()}


def do(name: str, host: Foreign, /, *, seconds: float = 20, **params: Any) -> Outcome:
    """An action of the catalogue, on that host."""
    action = catalogue().actions[name]
    assert host.platform in action.platforms
    p = action.Params.model_validate_json(json.dumps(params))
    return action.run(p, host, Deadline.after(seconds))


def judge(name: str, host: Foreign, /, **params: Any) -> bool | None:
    """A check of the catalogue, on that host."""
    check = catalogue().checks[name]
    assert host.platform in check.platforms
    p = check.Params.model_validate_json(json.dumps(params))
    return check.holds(p, merged({}, check.probe(p).read(host, 5)))
