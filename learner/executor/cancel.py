"""Being told to stop: by ^C, by SIGTERM, by whoever embeds the executor."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Cancellation:
    """Called, it says whether to stop now. What puts things right again is shielded from the first request.

    A run that is cancelled still rolls back and cleans up; only a second request ends that too.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._shielded = False

    def __call__(self) -> bool:
        return self._asked > int(self._shielded)

    @property
    def asked(self) -> bool:
        """Whether anybody has asked at all."""
        return self._asked > 0

    def ask(self) -> None:
        """Stop as soon as a result can be written."""
        self._asked += 1

    def shield(self) -> None:
        """From here on the run only puts things right."""
        self._shielded = True

    def child(self) -> Cancellation:
        """One run's own shield over the same requests, for several runs at once."""
        return _Child(self)


class _Child(Cancellation):
    def __init__(self, parent: Cancellation) -> None:
        super().__init__()
        self._parent = parent

    def __call__(self) -> bool:
        return self._asked + self._parent._asked > int(self._shielded)

    @property
    def asked(self) -> bool:
        return self._asked > 0 or self._parent.asked


@contextmanager
def on_signals(cancellation: Cancellation) -> Iterator[Cancellation]:
    """SIGINT and SIGTERM ask `cancellation`, until the block ends; the former handlers are put back then.

    Outside the main thread nothing is installed: there Python takes no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield cancellation
        return

    def asked(_number: int, _frame: FrameType | None) -> None:
        cancellation.ask()

    held = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancellation
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
