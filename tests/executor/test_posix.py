"""Questions asked by way of commands: a slow way to a host says nothing about what was asked there."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from learner.actions.base import UNKNOWN
from learner.actions.host import Completed
from learner.actions.network import PortProbe
from learner.executor.hosts import posix, processes
from learner.executor.hosts.local import LocalHost
from tests.executor.conftest import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


class FarHost(LocalHost):
    """This machine, but each command takes a while to get there, and what is asked is asked by commands."""

    def __init__(self, way_seconds: float) -> None:
        super().__init__()
        self._elevated = False
        self._way_seconds = way_seconds

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed:
        slow = ["sh", "-c", f'sleep {self._way_seconds}; exec "$@"', "sh", *argv]
        return processes.run(slow, timeout_seconds=timeout_seconds, env=env, cwd=cwd, stdin=stdin)

    def connect(self, address: str, port: int, timeout_seconds: float) -> str | None:
        return posix.connect(self, address, port, timeout_seconds)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(0)
        yield one


def test_a_port_is_no_less_open_for_a_slow_way_to_its_host(listening: socket.socket) -> None:
    far = FarHost(1.3)
    assert posix.connect(far, *listening.getsockname(), timeout_seconds=1.0) is None
    assert posix.connect(far, "127.0.0.1", free_port(), 1.0) == "connection refused"


def test_a_port_that_answers_nobody_has_timed_out(listening: socket.socket) -> None:
    with contextlib.ExitStack() as stack:
        # The queue of a listener that accepts nobody is full after a few: what comes then gets no answer.
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        time.sleep(0.1)
        assert posix.connect(FarHost(0), *listening.getsockname(), timeout_seconds=1.0) == "timed out"


def test_no_answer_in_time_is_unknown_and_neither_open_nor_closed(listening: socket.socket) -> None:
    far = FarHost(posix.WAY_SECONDS + 30)
    probe = PortProbe("127.0.0.1", listening.getsockname()[1])
    assert probe.read(far, 1.0) == {probe.paths[0]: UNKNOWN}
