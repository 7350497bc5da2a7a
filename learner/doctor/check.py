"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "bad", "skip"]


@dataclass(frozen=True)
class Check:
    """`ok`; `warn`: works, but looser than docs/setup-github.md advises; `bad`: does not work; `skip`: not looked at."""

    name: str
    state: State
    words: str
    next_step: str = ""
