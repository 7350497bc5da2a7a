"""Processes: found by their exact name, ended with care, on this machine's real process table."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from learner.actions.base import UNKNOWN
from learner.actions.host import Deadline
from learner.actions.process.actions import (
    FindProcesses,
    KillProcess,
    KillProcessParams,
    ProcessAbsent,
    ProcessNameParams,
    ProcessProbe,
    ProcessRunning,
    SetPriority,
    SetPriorityParams,
)
from learner.actions.process.posix import elapsed_seconds, parse_processes
from learner.actions.process.scripts import script_in
from learner.actions.process.vital_signs import (
    CpuProbe,
    CpuUsageBelow,
    MemoryProbe,
    MemoryUsageBelow,
    PercentParams,
    busy_percent,
    parse_meminfo,
)
from learner.executor.hosts.local import LocalHost
from learner.facts import merged

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts children that do not outlive the test."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*argv: str, ready: bool = False) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(argv, stdout=subprocess.PIPE if ready else None)
        children.append(child)
        if ready:
            assert child.stdout
            child.stdout.readline()
        return child

    yield run
    for child in children:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


@pytest.fixture
def napper(tmp_path: Path) -> str:
    """A program that sleeps, under a name that no other process has."""
    path = tmp_path / f"nap{os.getpid()}"
    shutil.copy("/bin/sleep", path)
    return str(path)


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


def kill(seconds: float = 10.0, **params: Any) -> Any:
    return KillProcess().run(KillProcessParams(**params), LocalHost(), soon(seconds))


def count(name: str) -> Any:
    return ProcessProbe(name).read(LocalHost(), 5.0)["processes", name]


def settled(child: subprocess.Popen[bytes], name: str) -> None:
    """Wait until the child has become the program it was started as."""
    ends = time.monotonic() + 5
    while time.monotonic() < ends and Path(f"/proc/{child.pid}/comm").read_text().strip() != name[:15]:
        time.sleep(0.01)


class TestNames:
    @pytest.mark.parametrize(
        ("args", "script"),
        [
            ("python3 /opt/app/worker.py --queue a", "worker.py"),
            ("/usr/bin/python3.11 -u -W ignore /opt/app/worker.py", "worker.py"),
            ("python3 -m http.server 80", "http.server"),
            ("python3 -c print() worker.py", None),
            ("python3 -Bc print() worker.py", None),
            ("python3", None),
            ("/bin/sh /usr/local/bin/backup.sh", "backup.sh"),
            ("bash -e -o pipefail backup.sh", "backup.sh"),
            ("bash -lc backup.sh", None),
            ("sh -c backup.sh", None),
            ("java -Xmx1g -cp a.jar:b.jar -jar /srv/app.jar x", "app.jar"),
            ("java -cp a.jar com.example.Main", "com.example.Main"),
            ("node --require ./x.js server.js", "server.js"),
            ("vim worker.py", None),
            ("tail -f /var/log/worker.py", None),
            ("", None),
        ],
    )
    def test_the_script_of_an_interpreter(self, args: str, script: str | None) -> None:
        assert script_in(args.split(), posixpath.basename) == script

    @pytest.mark.parametrize(
        ("etime", "seconds"), [("00:05", 5), ("01:02:03", 3723), ("2-01:02:03", 176523), ("  90:00".strip(), 5400)]
    )
    def test_elapsed_time(self, etime: str, seconds: int) -> None:
        assert elapsed_seconds(etime) == seconds

    def test_a_table(self) -> None:
        text = (
            "7 1 root -5 1-00:00:01 Ss nginx\t\n8 7 www-data - 00:09 S python3\tpython3 /srv/a b.py\nguarded 0 1 4 5\n"
        )
        table = parse_processes(text)
        first, second = table.processes
        assert (first.pid, first.nice, first.age_seconds, first.comm) == (7, -5, 86_401, "nginx")
        assert (second.user, second.nice, second.args) == ("www-data", None, "python3 /srv/a b.py")
        assert table.guarded == {0, 1, 4, 5}

    def test_a_name_holds_no_path(self) -> None:
        with pytest.raises(ValidationError):
            ProcessNameParams(name="/usr/sbin/nginx")


class TestFinding:
    def test_by_program_name(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        assert count(name) == 0
        settled(child := start(napper, "30"), name)
        start(napper, "30")
        found = FindProcesses().run(ProcessNameParams(name=name), LocalHost(), soon())
        assert found.success
        assert found.data["count"] == 2
        assert child.pid in found.data["pids"]
        assert found.data["processes"][0]["ppid"] == os.getpid()
        assert found.facts == {("processes", name): 2}

    def test_by_script_name_with_its_arguments_left_out(self, start: Start, tmp_path: Path) -> None:
        script = tmp_path / f"worker{os.getpid()}.py"
        script.write_text("import time; print(flush=True); time.sleep(30)")
        start(sys.executable, str(script), "--password=hunter2", ready=True)
        found = FindProcesses().run(ProcessNameParams(name=script.name), LocalHost(), soon())
        assert found.data["count"] == 1
        assert found.data["processes"][0]["command"].endswith(script.name)
        assert "hunter2" not in str(found)

    def test_a_name_longer_than_the_kernel_keeps(self, start: Start, tmp_path: Path) -> None:
        path = tmp_path / f"a-very-long-program-name-{os.getpid()}"
        shutil.copy("/bin/sleep", path)
        settled(start(str(path), "30"), path.name)
        assert count(path.name) == 1
        assert count(path.name[:20]) == 0

    def test_only_the_exact_name(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        settled(start(napper, "30"), name)
        start("/bin/sh", "-c", f": {name}; sleep 30")
        assert count(name) == 1
        assert count(name[:-1]) == 0
        assert count(name.upper()) == 0

    def test_the_ones_that_look_are_not_counted(self) -> None:
        nobody = f"nobody-{os.getpid()}"
        assert count(nobody) == 0

    def test_a_zombie_does_not_run(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        settled(child := start(napper, "30"), name)
        child.kill()
        time.sleep(0.1)
        assert count(name) == 0

    def test_checks(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        p = ProcessNameParams(name=name)
        state = merged({}, ProcessRunning().probe(p).read(LocalHost(), 5.0))
        assert (ProcessRunning().holds(p, state), ProcessAbsent().holds(p, state)) == (False, True)
        settled(start(napper, "30"), name)
        state = merged({}, ProcessRunning().probe(p).read(LocalHost(), 5.0))
        assert (ProcessRunning().holds(p, state), ProcessAbsent().holds(p, state)) == (True, False)
        unknown = {"processes": {name: UNKNOWN}}
        assert ProcessRunning().holds(p, unknown) is None
        assert ProcessAbsent().holds(p, {}) is None

    def test_without_ps(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.symlink("/bin/sh", tmp_path / "sh")
        monkeypatch.setenv("PATH", str(tmp_path))
        found = FindProcesses().run(ProcessNameParams(name="nginx"), LocalHost(), soon())
        assert (found.success, found.exit_code) == (False, 127)
        assert "ps: command not found" in found.stderr
        assert count("nginx") == UNKNOWN


class TestOtherKindsOfPs:
    @staticmethod
    def ps(directory: Path, condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a ps on PATH that refuses where `condition` holds for its arguments."""
        fake = directory / "ps"
        fake.write_text(f'#!/bin/sh\ncase "$*" in {condition}) echo "ps: bad -o argument" >&2; exit 1;; esac\n')
        with fake.open("a") as file:
            file.write(f'exec {shutil.which("ps")} "$@"\n')
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def test_one_that_tells_no_ages(
        self, start: Start, napper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = Path(napper).name
        settled(child := start(napper, "30"), name)
        self.ps(tmp_path, "*etime*", monkeypatch)
        found = FindProcesses().run(ProcessNameParams(name=name), LocalHost(), soon())
        assert found.data["processes"][0]["age_seconds"] is None
        assert kill(name=name, older_than_seconds=1).stderr.startswith("refused: this host does not tell")
        assert kill(name=name).data["signalled"] == [child.pid]

    @pytest.mark.parametrize("condition", ["*comm*", "*args*"])
    def test_one_that_fails_is_no_empty_table(
        self, condition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ps(tmp_path, condition, monkeypatch)
        assert count("anything") == UNKNOWN
        done = kill(name="anything")
        assert not done.success
        assert "bad -o argument" in done.stderr

    def test_a_table_without_the_first_process_is_not_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = tmp_path / "ps"
        fake.write_text(f"#!/bin/sh\n{shutil.which('ps')} \"$@\" | grep -v '^ *1 '\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert count("anything") == UNKNOWN


class TestKilling:
    def test_by_name(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        one, two = start(napper, "30"), start(napper, "30")
        settled(one, name)
        settled(two, name)
        done = kill(name=name)
        assert done.success, done.stderr
        assert sorted(done.data["signalled"]) == sorted([one.pid, two.pid])
        assert done.data["survivors"] == []
        assert done.facts == {("processes", name): 0}
        assert one.wait(1) == two.wait(1) == -15

    def test_by_id(self, start: Start, napper: str) -> None:
        one, two = start(napper, "30"), start(napper, "30")
        assert kill(pid=one.pid, signal="KILL").success
        assert one.wait(1) == -9
        assert two.poll() is None

    def test_by_script_name(self, start: Start, tmp_path: Path) -> None:
        script = tmp_path / f"worker{os.getpid()}.py"
        script.write_text("import time; print(flush=True); time.sleep(30)")
        child = start(sys.executable, str(script), ready=True)
        assert kill(name=script.name).data["signalled"] == [child.pid]
        assert child.wait(1) == -15

    def test_one_that_takes_its_time_is_waited_for(self, start: Start, tmp_path: Path) -> None:
        script = tmp_path / f"slow{os.getpid()}.py"
        script.write_text(
            "import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)))\n"
            "print(flush=True)\ntime.sleep(30)\n"
        )
        child = start(sys.executable, str(script), ready=True)
        assert kill(name=script.name).success
        assert child.wait(1) == 0

    def test_survivors_are_named_when_the_time_is_over(self, start: Start, tmp_path: Path) -> None:
        script = tmp_path / f"deaf{os.getpid()}.py"
        script.write_text(
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(30)"
        )
        child = start(sys.executable, str(script), ready=True)
        done = kill(name=script.name, seconds=1.0)
        assert not done.success
        assert done.timed_out
        assert done.data["survivors"] == [child.pid]
        assert done.stderr == f"survived TERM: {child.pid}"
        assert done.facts == {("processes", script.name): 1}

    def test_only_the_old_ones(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        settled(child := start(napper, "30"), name)
        spared = kill(name=name, older_than_seconds=600)
        assert spared.success
        assert spared.data["signalled"] == []
        assert child.poll() is None
        time.sleep(1.1)
        assert kill(name=name, older_than_seconds=1).data["signalled"] == [child.pid]

    def test_nothing_to_end_is_as_wanted_but_a_message_needs_a_reader(self) -> None:
        nobody = f"nobody{os.getpid()}"
        done = kill(name=nobody)
        assert (done.success, done.stdout) == (True, f"no process is named {nobody}")
        told = kill(name=nobody, signal="HUP")
        assert (told.success, told.stderr) == (False, f"no process is named {nobody}")

    def test_a_message_is_not_waited_for(self, start: Start, tmp_path: Path) -> None:
        script = tmp_path / f"hears{os.getpid()}.py"
        script.write_text(
            "import signal, sys, time\n"
            "signal.signal(signal.SIGUSR1, lambda *_: print('heard', flush=True))\n"
            "print(flush=True)\n[time.sleep(1) for _ in range(30)]\n"
        )
        child = start(sys.executable, str(script), ready=True)
        assert kill(name=script.name, signal="USR1").success
        assert child.stdout
        assert child.stdout.readline() == b"heard\n"
        assert child.poll() is None

    @pytest.mark.parametrize("given", [{}, {"name": "x", "pid": 99}])
    def test_exactly_one_of_name_and_pid(self, given: dict[str, Any]) -> None:
        done = kill(**given)
        assert not done.success
        assert done.stderr.startswith("refused: ")

    @pytest.mark.parametrize("pid", [1, 0, -1])
    def test_never_the_first_process(self, pid: int) -> None:
        with pytest.raises(ValidationError):
            KillProcessParams(pid=pid)
        done = KillProcess().run(KillProcessParams.model_construct(pid=1), LocalHost(), soon())
        assert done.stderr.startswith("refused: 1 is what the system stands on")

    def test_never_itself_nor_what_it_descends_from(self) -> None:
        # Signal CONT does nothing to a process that runs: were the guard broken, no harm would come of it.
        for pid in (os.getpid(), os.getppid()):
            done = kill(pid=pid, signal="CONT")
            assert not done.success
            assert done.stderr.startswith(f"refused: {pid} is what the system stands on, this program")
            assert done.data["spared"] == [pid]

    def test_an_ancestor_is_spared_while_others_of_its_name_are_ended(self, start: Start, tmp_path: Path) -> None:
        shell = tmp_path / f"shell{os.getpid()}"
        shutil.copy(os.path.realpath("/bin/sh"), shell)
        other = start(str(shell), "-c", "sleep 30; :")
        settled(other, shell.name)

        class Below(LocalHost):
            """A host whose commands all run below a shell of that name."""

            def run(self, argv: Any, **how: Any) -> Any:
                return super().run([str(shell), "-c", '"$@"; exit $?', "x", *argv], **how)

        done = KillProcess().run(KillProcessParams(name=shell.name), Below(), soon())
        assert done.success, done.stderr
        assert done.data["signalled"] == [other.pid]
        assert len(done.data["spared"]) == 1
        assert "spared" in done.stdout
        again = KillProcess().run(KillProcessParams(name=shell.name), Below(), soon())
        assert again.stderr.startswith("refused: ")

    def test_effects(self) -> None:
        by_name = KillProcess().effects(KillProcessParams(name="web"), {})
        assert by_name is not None
        assert by_name["processes", "web"] == 0
        assert by_name["services",] == UNKNOWN
        assert merged({"processes": {"web": 3, "db": 1}}, by_name)["processes"] == {"web": 0}
        assert ("files",) in by_name
        for p in (KillProcessParams(name="web", signal="HUP"), KillProcessParams(name="web", older_than_seconds=9)):
            left = KillProcess().effects(p, {})
            assert left is not None
            assert ("processes", "web") not in left
        assert ("files",) not in (KillProcess().effects(KillProcessParams(pid=9, signal="KILL"), {}) or {})

    def test_capabilities_name_the_process(self) -> None:
        assert KillProcess().capabilities(KillProcessParams(name="web")).privileges == {"signal process web"}


class TestPriority:
    def test_is_set_and_the_old_one_told(self, start: Start, napper: str) -> None:
        name = Path(napper).name
        settled(child := start(napper, "30"), name)
        before = os.getpriority(os.PRIO_PROCESS, child.pid)
        done = SetPriority().run(SetPriorityParams(name=name, nice=7), LocalHost(), soon())
        assert done.success, done.stderr
        assert done.data["before"] == {str(child.pid): before}
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 7
        assert SetPriority().run(SetPriorityParams(pid=child.pid, nice=9), LocalHost(), soon()).success
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 9

    def test_nobody_to_favour(self) -> None:
        done = SetPriority().run(SetPriorityParams(name=f"nobody{os.getpid()}", nice=1), LocalHost(), soon())
        assert not done.success
        assert "no process is named" in done.stderr
        assert SetPriority().run(SetPriorityParams(nice=1), LocalHost(), soon()).stderr == (
            "refused: one of name, pid is wanted"
        )

    def test_out_of_range(self) -> None:
        with pytest.raises(ValidationError):
            SetPriorityParams(name="x", nice=20)


class TestVitalSigns:
    def test_cpu(self) -> None:
        facts = CpuProbe().read(LocalHost(), 5.0)
        assert 0 <= facts["cpu", "usage_percent"] <= 100
        assert len(facts["cpu", "load_average"]) == 3

    def test_a_busy_loop_shows(self, start: Start) -> None:
        start(sys.executable, "-c", "print(flush=True)\nwhile True: pass", ready=True)
        usage = CpuProbe().read(LocalHost(), 5.0)["cpu", "usage_percent"]
        assert usage > 50 / (os.cpu_count() or 1)

    def test_memory(self) -> None:
        facts = MemoryProbe().read(LocalHost(), 5.0)
        assert 0 < facts["memory", "free_mb"] <= facts["memory", "total_mb"]

    def test_busy_share(self) -> None:
        assert busy_percent([0] * 10, [20, 0, 5, 70, 5, 0, 0, 0, 20, 0]) == 25.0
        assert busy_percent([5] * 8, [5] * 8) is None

    def test_meminfo(self) -> None:
        text = "MemTotal:       16384 kB\nMemFree:         1024 kB\nMemAvailable:    4096 kB\nBuffers: 1 kB\n"
        assert parse_meminfo(text) == {
            ("memory", "usage_percent"): 75.0,
            ("memory", "free_mb"): 4,
            ("memory", "total_mb"): 16,
        }
        old = "MemTotal: 16384 kB\nMemFree: 1024 kB\nBuffers: 1024 kB\nCached: 2048 kB\nSwapCached: 9 kB\n"
        assert parse_meminfo(old)["memory", "free_mb"] == 4
        assert parse_meminfo("") == {}

    def test_what_can_not_be_read_is_unknown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert set(CpuProbe().read(LocalHost(), 5.0).values()) == {UNKNOWN}
        assert set(MemoryProbe().read(LocalHost(), 5.0).values()) == {UNKNOWN}

    def test_checks(self) -> None:
        p = PercentParams(percent=80)
        assert CpuUsageBelow().holds(p, {"cpu": {"usage_percent": 79.9}}) is True
        assert CpuUsageBelow().holds(p, {"cpu": {"usage_percent": 80.0}}) is False
        assert CpuUsageBelow().holds(p, {"cpu": {"usage_percent": UNKNOWN}}) is None
        assert MemoryUsageBelow().holds(p, {"memory": {"usage_percent": 12}}) is True
        assert MemoryUsageBelow().holds(p, {}) is None
