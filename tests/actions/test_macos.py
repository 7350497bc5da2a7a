"""macOS: documented answers are read, BSD's flags are used where they differ. Nothing here runs on a Mac; the shell
scripts run here with programs that take BSD's flags alone."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from learner.actions.base import UNKNOWN
from learner.actions.disk.posix import refusal
from learner.actions.host import Completed
from learner.actions.process import CpuProbe, MemoryProbe
from learner.actions.time import SyncTime, TimeProbe
from learner.executor.hosts.local import LocalHost
from tests.actions.foreign import Foreign, do

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shell")

# Source: top(1), vm_stat(1) and sysctl(8) of macOS.
TOP = """{ 1.53 1.74 2.02 }
Processes: 412 total, 2 running, 410 sleeping, 2012 threads
Load Avg: 1.53, 1.74, 2.02
CPU usage: 3.12% user, 10.93% sys, 85.93% idle
SharedLibs: 301M resident, 70M data, 22M linkedit.

Processes: 412 total, 3 running, 409 sleeping, 2012 threads
CPU usage: 12.50% user, 7.25% sys, 80.25% idle
"""
VM_STAT = """17179869184
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               16384.
Pages active:                            300000.
Pages inactive:                          196608.
Pages speculative:                        49152.
Pages wired down:                        120000.
"""


def mac(*answers: Completed) -> Foreign:
    return Foreign(platform="darwin", answers=list(answers))


def test_vital_signs() -> None:
    assert CpuProbe().read(mac(Completed(0, TOP)), 5) == {
        ("cpu", "usage_percent"): 19.8,
        ("cpu", "load_average"): [1.53, 1.74, 2.02],
    }
    assert MemoryProbe().read(mac(Completed(0, VM_STAT)), 5) == {
        ("memory", "usage_percent"): 75.0,
        ("memory", "free_mb"): 4096,
        ("memory", "total_mb"): 16384,
    }
    for probe in (CpuProbe(), MemoryProbe()):
        assert set(probe.read(mac(Completed(127, "", "top: command not found")), 5).values()) == {UNKNOWN}


def test_time() -> None:
    host = mac(Completed(0, "+0.250000 +/- 0.034567 time.apple.com 17.253.14.251\n"))
    done = do("check_time_offset", host)
    assert (done.data["offset_seconds"], done.stdout) == (-0.25, "0.25 s behind, says sntp")
    silent = mac(Completed(0, "sntp: Exchange failed: Timeout\n"))
    assert do("check_time_offset", silent).stderr == "sntp: Exchange failed: Timeout"
    missing = mac(Completed(127, "", "sntp: not found"))
    assert do("check_time_offset", missing).exit_code == 127


def test_the_server_of_the_settings_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "sntp"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "+0.5 +/- 0.1 $last 17.0.0.1"\necho "$*" >>"$0.asked"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    host = LocalHost()
    host.platform = "darwin"
    assert TimeProbe().read(host, 5) == {("time", "offset_seconds"): -0.5}
    params = SyncTime.Params()
    from learner.actions.host import Deadline

    assert SyncTime().run(params, host, Deadline.after(10)).success
    assert (tmp_path / "sntp.asked").read_text().splitlines()[1].startswith("-sS ")


def test_logs_are_rotated_by_newsyslog() -> None:
    host = mac(Completed(0))
    do("rotate_logs", host)
    do("rotate_logs", host, config="/etc/newsyslog.d/web.conf")
    assert [argv for argv, _ in host.asked] == [
        ("newsyslog", "-F"),
        ("newsyslog", "-F", "-f", "/etc/newsyslog.d/web.conf"),
    ]


@pytest.fixture
def bsd(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> LocalHost:
    """This machine with a `stat` that takes BSD's `-f` and refuses GNU's `-c`."""
    folder = tmp_path_factory.mktemp("bsd")
    program = folder / "stat"
    program.write_text(
        f"""#!/bin/sh
[ "$1" = -f ] || {{ echo "stat: illegal option -- c" >&2; exit 1; }}
how=$(printf '%s' "$2" | sed 's/%z/%s/; s/%N/%n/; s/%m/%Y/'); shift 2
exec {shutil.which("stat")} -c "$how" "$@"
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return LocalHost()


def test_files_are_found_and_cleaned_with_bsds_stat(bsd: LocalHost, tmp_path: Path) -> None:
    then = time.time() - 10 * 86_400
    for name, size in (("a b.log", 3 << 20), ("new.log", 1), ("-x.log", 1), ("keep.txt", 2 << 20)):
        (tmp_path / name).write_bytes(b"x" * size)
        if name != "new.log":
            os.utime(tmp_path / name, (then, then))
    found = do("find_large_files", bsd, path=str(tmp_path), min_size_mb=1)  # type: ignore[arg-type]
    assert [file["path"] for file in found.data["files"]] == [str(tmp_path / "a b.log"), str(tmp_path / "keep.txt")]
    assert found.data["files"][0]["size_mb"] == 3.0
    done = do("clean_directory", bsd, path=str(tmp_path), patterns=["*.log"], older_than_days=5)  # type: ignore[arg-type]
    assert (done.success, done.data) == (True, {"removed": 2, "freed_bytes": (3 << 20) + 1, "left": 0})
    assert {path.name for path in tmp_path.iterdir()} == {"new.log", "keep.txt"}


@pytest.mark.parametrize(
    ("path", "refused"),
    [("/private/var", True), ("/private/etc", True), ("/private", True), ("/private/var/db", True), ("/System/Volumes/Data/x", True),
     ("/private/var/log", False), ("/private/tmp", False), ("/Library/Logs", False), ("/Library", True)],
)  # fmt: skip
def test_what_may_be_cleaned_where_var_is_a_link(path: str, refused: bool) -> None:
    assert bool(refusal(path)) is refused
