"""Child processes: they end when they should, and their output stays bounded."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from learner.executor.hosts import processes
from tests.executor.conftest import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_exit_code_output_and_errors_are_kept_apart() -> None:
    done = processes.run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout_seconds=10)
    assert (done.exit_code, done.stdout, done.stderr, done.timed_out) == (7, "out\n", "err\n", False)


def test_a_program_that_is_not_there_gives_127_and_one_that_may_not_run_126(tmp_path: Path) -> None:
    missing = processes.run(["no-such-program"], timeout_seconds=10)
    assert (missing.exit_code, missing.stderr) == (127, "no-such-program: command not found")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert processes.run([str(tmp_path / "script")], timeout_seconds=10).exit_code == 126
    nowhere = processes.run(["true"], timeout_seconds=10, cwd=str(tmp_path / "none"))
    assert (nowhere.exit_code, "no such directory" in nowhere.stderr) == (126, True)


def test_a_signal_counts_as_128_and_its_number() -> None:
    assert processes.run(["sh", "-c", "kill -KILL $$"], timeout_seconds=10).exit_code == 128 + signal.SIGKILL


def test_the_whole_group_ends_with_its_time(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! >> {pids}; sh -c 'sleep 60 & echo $! >> {pids}; wait' & echo $$ >> {pids}; wait"
    at = time.monotonic()
    done = processes.run(["sh", "-c", script], timeout_seconds=0.7)
    assert done.timed_out
    assert time.monotonic() - at < 3
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 3
    wait_for(lambda: all(gone(pid) for pid in found), 5)


def test_a_child_that_ignores_term_is_ended_all_the_same(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done"
    at = time.monotonic()
    done = processes.run(["sh", "-c", script], timeout_seconds=0.5)
    assert done.timed_out
    assert time.monotonic() - at < 0.5 + 2 * processes.GRACE_SECONDS
    assert gone(int(pid.read_text()))


def test_a_child_of_the_group_that_ignores_term_does_not_survive_its_leader(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"(trap '' TERM; exec sh -c 'trap \"\" TERM; echo $$ > {pid}; while :; do sleep 0.1; done') & wait"
    assert processes.run(["sh", "-c", script], timeout_seconds=0.7).timed_out
    wait_for(lambda: gone(int(pid.read_text())), 5)


def test_what_is_left_in_the_background_neither_hangs_the_step_nor_dies(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    at = time.monotonic()
    done = processes.run(["sh", "-c", f"sleep 30 & echo $! > {pid}; echo started"], timeout_seconds=20)
    assert (done.exit_code, done.stdout, done.timed_out) == (0, "started\n", False)
    assert time.monotonic() - at < processes.GRACE_SECONDS + 2
    assert not gone(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_gigabyte_of_output_stays_small_in_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    script = "echo first; head -c 1073741824 /dev/zero | tr '\\0' 'x'; echo; echo last"
    done = processes.run(["sh", "-c", script], timeout_seconds=120)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert done.success
    assert done.stdout.startswith("first\nxxx")
    assert done.stdout.endswith("x\nlast\n")
    kept = processes.HEAD_BYTES + processes.TAIL_BYTES
    assert done.dropped_bytes == 1073741824 + len("first\n\nlast\n") - kept
    assert f"{done.dropped_bytes} bytes left out" in done.stdout
    assert len(done.stdout) < kept + 100
    assert grown_mib < 20


def test_bytes_that_are_no_text_are_survived() -> None:
    done = processes.run(["printf", "a\\377\\000b\\303\\251"], timeout_seconds=10)
    assert done.stdout == "a\\xff\\x00bé"


def test_input_is_given_and_a_reader_that_stops_early_is_no_error() -> None:
    assert processes.run(["cat"], timeout_seconds=10, stdin="héllo\n").stdout == "héllo\n"
    assert processes.run(["cat"], timeout_seconds=10).stdout == ""
    big = "x" * 5_000_000
    assert processes.run(["wc", "-c"], timeout_seconds=20, stdin=big).stdout.strip() == "5000000"
    assert processes.run(["true"], timeout_seconds=20, stdin=big).success


def test_the_environment_is_added_to_not_replaced() -> None:
    done = processes.run(["sh", "-c", 'echo "$X:${PATH:+path}"'], timeout_seconds=10, env={"X": "1"})
    assert done.stdout == "1:path\n"


def test_a_cancelled_command_ends_at_once(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    at = time.monotonic()
    done = processes.run(["sleep", "30"], timeout_seconds=30, cancelled=stop.is_set)
    assert time.monotonic() - at < 2
    assert (done.timed_out, done.exit_code) == (False, 128 + signal.SIGTERM)


ASKS = """
import sys
from learner.executor.hosts import processes
done = processes.run(["sh", "-c", "ps -o pgid=,sid= -p $$; exec sh -c 'read answer </dev/tty'"], timeout_seconds=5)
group, session = done.stdout.split()[:2]
print(done.exit_code != 0, done.timed_out, group == session)
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_command_can_not_ask_on_the_terminal_of_who_started_it(terminal: bool) -> None:
    if not terminal:
        done = subprocess.run(
            [sys.executable, "-c", ASKS], capture_output=True, text=True, timeout=30, start_new_session=True
        )
        # No terminal, no session of its own: a process group is enough, and cheaper.
        assert done.stdout.split() == ["True", "False", "False"], done.stderr
        return
    pid, screen = os.forkpty()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", ASKS])
    said = b""
    try:
        while chunk := os.read(screen, 4096):
            said += chunk
    except OSError:
        pass  # Linux says EIO when the other end is closed
    os.waitpid(pid, 0)
    os.close(screen)
    assert said.split() == [b"True", b"False", b"True"]
