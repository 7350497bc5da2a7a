"""Windows: what a host is asked, and what becomes of answers of the documented form. Nothing here runs on Windows."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from learner.actions import catalogue
from learner.actions.base import UNKNOWN
from learner.actions.disk import DiskProbe
from learner.actions.disk.cleaning import CleanDirectory, CleanDirectoryParams
from learner.actions.disk.windows import expression, refusal
from learner.actions.file import FileProbe
from learner.actions.host import Completed
from learner.actions.paths import below, flavour, is_windows, misplaced
from learner.actions.process import CpuProbe, MemoryProbe
from learner.actions.process.windows import priority_class, split
from learner.executor.hosts.local import LocalHost
from tests.actions.foreign import Foreign, do, fails, judge, says
from tests.powershell import variables


def process(pid: int, name: str, line: str = "", age: int | None = 100) -> dict[str, Any]:
    return {"pid": pid, "ppid": 700, "name": name, "user": "svc", "age": age, "line": line}


def table(*processes: dict[str, Any], guarded: tuple[int, ...] = (0, 4, 500)) -> Completed:
    return says(processes=list(processes), guarded=list(guarded), vital=[0, 4])


class TestPaths:
    @pytest.mark.parametrize(
        "path", ["C:\\", "C:\\web\\a.txt", "d:/web", "\\\\nas\\share", "\\\\nas\\share\\a b\\c.txt", "C:\\caf\u00e9"]
    )
    def test_of_windows(self, path: str) -> None:
        assert is_windows(path)
        assert misplaced(path, "windows") is None
        assert misplaced(path, "linux") == f"{path} is a path on Windows, not on linux"

    @pytest.mark.parametrize(
        "path", ["/srv", "C:", "web\\a", "\\web", "\\\\nas", "C:\\a\\b:stream", "C:\\a*", "\\\\?\\C:\\a"]
    )
    def test_no_path_of_windows(self, path: str) -> None:
        assert not is_windows(path)
        assert misplaced(path, "windows")

    def test_what_stands_below(self) -> None:
        assert below("C:\\web\\a", "C:\\web")
        assert below("C:\\web", "C:\\")
        assert not below("C:\\website", "C:\\web")
        assert below("/srv/web", "/srv/")
        assert below("/srv", "/")
        assert flavour("C:\\web\\a").basename("C:\\web\\a") == "a"

    def test_a_path_of_another_platform_is_refused_before_anything_is_asked(self) -> None:
        host = Foreign()
        for name, params in (
            ("remove_file", {"path": "/etc/x"}),
            ("copy_file", {"source": "C:\\a", "destination": "/b"}),
            ("find_large_files", {"path": "/srv", "min_size_mb": 1}),
            ("clean_directory", {"path": "/srv/x", "patterns": ["*"]}),
            ("check_disk_usage", {"path": "/srv"}),
            ("check_certificate", {"path": "/srv/a.pem"}),
            ("run_command", {"argv": ["x"], "cwd": "/srv"}),
        ):
            done = do(name, host, **params)
            assert (done.success, "is no path on Windows" in done.stderr) == (False, True), name
        assert FileProbe("/etc/x").read(host, 5) == {("files", "/etc/x", "exists"): UNKNOWN}
        assert host.asked == []
        linux = Foreign(platform="linux")
        assert "not on linux" in do("remove_file", linux, path="C:\\x").stderr
        assert linux.asked == []


class TestProcesses:
    def test_are_known_by_name_in_any_case_and_by_their_script(self) -> None:
        said = table(
            process(7, "Nginx.exe"), process(8, "python.exe", '"C:\\Py 3\\python.exe" -u "C:\\app\\worker.py" --x')
        )
        for name, pids in (("nginx", [7]), ("NGINX.EXE", [7]), ("worker.py", [8]), ("python", [8]), ("ngin", [])):
            host = Foreign(answers=[said])
            found = do("find_processes", host, name=name)
            assert found.data["pids"] == pids, name
            assert host.values == {"name": name, "ids": ""}
            assert judge("process_running", Foreign(answers=[said]), name=name) is bool(pids)
            assert judge("process_absent", Foreign(answers=[said]), name=name) is not bool(pids)
        assert "--x" not in str(do("find_processes", Foreign(answers=[said]), name="worker.py"))

    def test_that_can_not_be_read_are_not_none(self) -> None:
        host = Foreign(answers=[fails("Access denied")])
        assert judge("process_running", host, name="nginx") is None
        assert do("find_processes", host, name="nginx").stderr == "Access denied"

    def test_are_ended_and_waited_for(self) -> None:
        running = table(process(7, "nginx.exe"), process(8, "nginx.exe", age=5))
        host = Foreign(answers=[running, says(), table(process(8, "nginx.exe", age=5))])
        done = do("kill_process", host, name="nginx", signal="KILL", older_than_seconds=60)
        assert (done.success, done.stdout, done.data["signalled"]) == (True, "KILL ended 7", [7])
        assert host.asked[1][1] == {"LEARNER_SIGNAL": "KILL", "LEARNER_IDS": "7"}

    def test_that_survive_are_named(self) -> None:
        host = Foreign(
            answers=[table(process(7, "nginx.exe")), fails("7: Access is denied"), table(process(7, "nginx.exe"))]
        )
        done = do("kill_process", host, pid=7, seconds=0.3)
        assert (done.success, done.timed_out) == (False, False)
        assert done.stderr == "7: Access is denied\nsurvived TERM: 7"

    def test_that_the_system_or_this_program_stands_on_are_spared(self) -> None:
        host = Foreign(answers=[table(process(500, "powershell.exe"), guarded=(0, 4, 500))])
        done = do("kill_process", host, name="powershell")
        assert (
            done.stderr == "refused: powershell is what the system stands on, this program or one that it descends from"
        )
        assert len(host.asked) == 1

    @pytest.mark.parametrize("signal", ["HUP", "INT", "USR1", "STOP"])
    def test_hear_no_signal(self, signal: str) -> None:
        host = Foreign()
        done = do("kill_process", host, name="nginx", signal=signal)
        assert done.stderr == f"refused: Windows knows no signal {signal}, only TERM and KILL"
        assert host.asked == []

    def test_an_age_that_is_not_told_is_no_age(self) -> None:
        host = Foreign(answers=[table(process(7, "nginx.exe", age=None))])
        assert do("kill_process", host, name="nginx", older_than_seconds=9).stderr.startswith("refused: this host")

    @pytest.mark.parametrize(
        ("nice", "wanted"),
        [
            (-20, "High"),
            (-15, "High"),
            (-14, "AboveNormal"),
            (-4, "Normal"),
            (0, "Normal"),
            (5, "BelowNormal"),
            (19, "Idle"),
        ],
    )
    def test_priority_classes(self, nice: int, wanted: str) -> None:
        assert priority_class(nice) == wanted

    def test_priority(self) -> None:
        host = Foreign(answers=[table(process(7, "nginx.exe"), process(4, "nginx.exe")), says(before={"7": "Normal"})])
        done = do("set_priority", host, name="nginx", nice=19)
        assert (done.success, done.data) == (True, {"before": {"7": "Normal"}})
        assert host.values == {"ids": "7", "class": "Idle"}

    def test_words_of_a_command_line(self) -> None:
        assert split('"C:\\a b\\x.exe" -f  "c d" e') == ["C:\\a b\\x.exe", "-f", "c d", "e"]


def test_vital_signs() -> None:
    assert CpuProbe().read(Foreign(answers=[says(percent=12.54)]), 5) == {("cpu", "usage_percent"): 12.5}
    assert CpuProbe().read(Foreign(answers=[says(percent=None)]), 5) == {("cpu", "usage_percent"): UNKNOWN}
    assert MemoryProbe().read(Foreign(answers=[says(free=4_194_304, total=16_777_216)]), 5) == {
        ("memory", "usage_percent"): 75.0,
        ("memory", "free_mb"): 4096,
        ("memory", "total_mb"): 16384,
    }
    assert set(MemoryProbe().read(Foreign(answers=[fails("no")]), 5).values()) == {UNKNOWN}
    assert judge("cpu_usage_below", Foreign(answers=[says(percent=3)]), percent=5) is True
    assert judge("memory_usage_below", Foreign(answers=[fails("no")]), percent=5) is None


class TestDisks:
    def test_usage_is_rounded_up_and_counts_no_inodes(self) -> None:
        host = Foreign(answers=[says(total=100 << 30, free=(10 << 30) - 1)])
        done = do("check_disk_usage", host)
        assert done.data == {"usage_percent": 91, "free_gb": 10.0, "total_gb": 100.0}
        assert done.facts["disk", "usage_percent"] == 91
        assert host.values == {"path": "/"}, "the script knows the system's drive"
        below = Foreign(answers=[says(total=100, free=50)])
        assert judge("disk_usage_below", below, percent=51, path="D:\\data") is True
        assert below.values == {"path": "D:\\data"}
        assert judge("disk_usage_below", Foreign(answers=[says(total=0, free=0)]), percent=51, path="D:\\") is None
        assert DiskProbe().read(Foreign(answers=[fails("no")]), 5)["disk", "usage_percent"] == UNKNOWN

    def test_large_files(self) -> None:
        files = [{"path": "C:\\a.log", "bytes": 3 << 20}, {"path": "C:\\b.log", "bytes": 2 << 20}]
        host = Foreign(answers=[says(files=files, count=2, bytes=5 << 20, unread=1)])
        done = do("find_large_files", host, path="C:\\logs", min_size_mb=1.5, older_than_days=7)
        assert done.data["files"][0] == {"path": "C:\\a.log", "size_mb": 3.0}
        assert (done.data["count"], done.data["total_mb"], done.stderr) == (2, 5.0, "1 directories could not be read")
        assert host.values == {"path": "C:\\logs", "least": str(3 << 19), "days": "7", "most": "50"}

    def test_cleaning(self) -> None:
        host = Foreign(
            answers=[says(removed=3, freed=3 << 20, left=1, failed=["a.log: it is being used by another process"])]
        )
        done = do(
            "clean_directory",
            host,
            path="D:/logs//web\\",
            patterns=["*.log", "[!a]?.x"],
            older_than_days=2,
            keep_last=1,
        )
        assert (done.success, done.stdout) == (False, "removed 3 files, 3.0 MiB")
        assert done.stderr == "a.log: it is being used by another process"
        assert done.data == {"removed": 3, "freed_bytes": 3 << 20, "left": 1}
        assert host.values["path"] == "D:\\logs\\web"
        assert (host.values["age"], host.values["keep"]) == ("172800", "1")
        named = re.compile(host.values["names"].replace(r"\z", r"\Z"), re.IGNORECASE | re.DOTALL)
        assert [name for name in ("A.LOG", "b.log", ".b.log", "bc.x", "ac.x", "b.log.1") if named.match(name)] == [
            "A.LOG", "b.log", "bc.x",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "path",
        [
            "C:\\", "D:", "D:\\.", "C:\\Windows", "c:/windows//system32", "C:\\Windows\\System32\\config", "C:\\Windows.old\\x",
            "C:\\Users", "C:\\Users\\dana", "C:\\Program Files", "C:\\PROGRA~1\\web", "C:\\Windows.\\Temp ", "C:\\a\\..\\Windows",
            "C:\\ProgramData", "C:\\$Recycle.Bin\\x", "C:\\System Volume Information", "\\\\nas\\share", "\\\\nas\\C$",
            "\\\\nas\\C$\\Windows\\System32", "\\\\nas\\admin$", "\\\\nas\\ADMIN$\\System32", "C:\\Boot\\x",
        ],
    )  # fmt: skip
    def test_what_is_never_cleaned(self, path: str) -> None:
        assert refusal(path)

    @pytest.mark.parametrize(
        "path",
        ["C:\\Windows\\Temp", "C:\\inetpub\\logs\\LogFiles", "D:\\logs", "\\\\nas\\share\\old", "C:\\Users\\dana\\AppData\\Local\\Temp",
         "C:\\Windows\\SoftwareDistribution\\Download", "C:\\WindowsApps2", "\\\\nas\\C$\\logs", "\\\\nas\\ADMIN$\\Temp"],
    )  # fmt: skip
    def test_what_may_be_cleaned(self, path: str) -> None:
        assert refusal(path) is None

    def test_effects_reach_the_files_that_match(self) -> None:
        p = CleanDirectoryParams(path="C:\\logs", patterns=("*.log",))
        state = {
            "files": {"C:\\logs\\a.log": {"exists": True}, "C:\\logs\\b.txt": {"exists": True}, "C:\\x\\a.log": {}}
        }
        effects = CleanDirectory().effects(p, state)
        assert effects is not None
        assert ("files", "C:\\logs\\a.log") in effects
        assert not {("files", "C:\\logs\\b.txt"), ("files", "C:\\x\\a.log")} & effects.keys()
        assert CleanDirectory().capabilities(p).paths == {"C:\\logs\\*.log"}

    @pytest.mark.parametrize(
        ("pattern", "name", "fits"),
        [("*", "a", True), ("*", ".a", False), (".*", ".a", True), ("a[b", "a[b", True), ("[]]x", "]x", True), ("a.b", "axb", False),
         ("[a-c]*", "bx", True), ("[!a-c]*", "bx", False), ("x[^]", "x^", True), ("$(x)", "$(x)", True)],
    )  # fmt: skip
    def test_patterns(self, pattern: str, name: str, fits: bool) -> None:
        assert bool(re.fullmatch(expression(pattern), name)) is fits


class TestFiles:
    CONF = "C:\\web\\a.conf"

    @pytest.mark.parametrize(
        ("name", "params", "values"),
        [
            ("create_directory", {"path": CONF}, {"path": CONF}),
            ("copy_file", {"source": CONF, "destination": "D:\\b"}, {"source": CONF, "destination": "D:\\b"}),
            ("backup_file", {"path": CONF}, {"source": CONF, "destination": CONF + ".learner-backup"}),
            ("backup_file", {"path": CONF, "backup_dir": "D:\\kept"}, {"source": CONF, "destination": "D:\\kept\\a.conf.learner-backup"}),
            ("restore_file", {"path": CONF}, {"source": CONF + ".learner-backup", "destination": CONF}),
        ],
    )  # fmt: skip
    def test_are_made_and_copied(self, name: str, params: dict[str, Any], values: dict[str, str]) -> None:
        host = Foreign(answers=[says(path="x")], files={self.CONF: b"x"})
        assert do(name, host, **params).success
        assert host.values == values
        refused = do(name, Foreign(answers=[fails("Access to the path is denied.")]), **params)
        assert (refused.success, refused.stderr) == (False, "Access to the path is denied.")

    def test_are_removed_unless_their_process_lives(self) -> None:
        pid_file = "C:\\web\\web.pid"
        host = Foreign(answers=[says(alive=True)], files={pid_file: b"42\r\n"})
        kept = do("remove_file", host, path=pid_file, only_if="stale_pid")
        assert kept.stderr == f"{pid_file}: process 42 is alive"
        host = Foreign(answers=[says(alive=False), says()], files={pid_file: b"42\r\n"})
        assert do("remove_file", host, path=pid_file, only_if="stale_pid").success
        assert host.values == {"path": pid_file}
        huge = Foreign(answers=[says()], files={pid_file: b"99999999999"})
        assert do("remove_file", huge, path=pid_file, only_if="stale_pid").success
        assert do("remove_file", Foreign(), path=pid_file).stdout == "nothing to remove"

    def test_are_written_with_a_backup_and_without_a_mode(self) -> None:
        host = Foreign(answers=[says()], files={self.CONF: b"old"})
        done = do("write_file", host, path=self.CONF, content="new")
        assert done.success
        assert host.values == {"source": self.CONF, "destination": self.CONF + ".learner-backup"}
        assert host.written == {self.CONF: (b"new", None)}
        assert ("files", self.CONF, "mode") not in done.facts
        assert do("write_file", host, path=self.CONF, content="new").stdout == "already so"

    def test_know_no_mode_and_no_group(self) -> None:
        host = Foreign()
        for name, params in (
            ("write_file", {"content": "x", "mode": "0600"}),
            ("create_directory", {"mode": "0755"}),
            ("set_permissions", {"mode": "0644"}),
        ):
            done = do(name, host, path=self.CONF, **params)
            assert (done.success, "Windows knows no modes" in done.stderr) == (False, True)
        assert "no group" in do("set_permissions", host, path=self.CONF, group="staff").stderr
        assert "no group" in do("set_permissions", host, path=self.CONF, owner="a:b").stderr
        assert (host.asked, host.written) == ([], {})

    def test_have_an_owner(self) -> None:
        host = Foreign(answers=[Completed(0)], files={self.CONF: b""})
        assert do("set_permissions", host, path=self.CONF, owner="NT AUTHORITY\\SYSTEM").success
        assert host.asked[0][0] == ("icacls", self.CONF, "/setowner", "NT AUTHORITY\\SYSTEM", "/q")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (b"a = 1\r\nb = 2\r\n", b"a = 3\r\nb = 2\r\n"),
            (b"b = 2\r\n", b"b = 2\r\na = 3\r\n"),
            (b"b = 2\n", b"b = 2\na = 3\n"),
            (b"a = 1\r\nb = 2\n", b"a = 3\nb = 2\n"),
            (None, b"a = 3\r\n"),
        ],
    )
    def test_keep_their_line_ends(self, before: bytes | None, after: bytes) -> None:
        host = Foreign(files={} if before is None else {self.CONF: before})
        for changed in (True, False):
            done = do("ensure_line", host, path=self.CONF, line="a = 3", match="a =")
            assert (done.success, done.data) == (True, {"changed": changed})
            assert host.files[self.CONF] == after

    def test_of_utf_16_are_left_alone(self) -> None:
        host = Foreign(files={self.CONF: "a = 1\r\n".encode("utf-16")})
        assert do("ensure_line", host, path=self.CONF, line="a = 3").stderr == f"{self.CONF} is UTF-16"
        assert host.written == {}


class TestCertificates:
    NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()

    def test_in_a_file(self) -> None:
        host = Foreign(answers=[says(now=self.NOW, until=self.NOW + 10.5 * 86_400)])
        done = do("check_certificate", host, path="C:\\web\\a.pem", min_valid_days=10)
        assert (done.success, done.data) == (True, {"days_left": 10, "expires_at": "2026-12-02T12:00:00Z"})
        assert host.values == {"path": "C:\\web\\a.pem"}
        late = do("check_certificate", Foreign(answers=[says(now=self.NOW, until=self.NOW - 1)]), path="C:\\a.pem")
        assert late.data["days_left"] == -1
        assert not late.success

    def test_that_are_shown(self) -> None:
        host = Foreign(answers=[says(now=self.NOW, until=self.NOW + 86_400)])
        assert judge("certificate_valid", host, host="web.example.com", min_valid_days=1) is True
        assert (host.values["address"], host.values["port"]) == ("web.example.com", "443")
        assert judge("certificate_valid", Foreign(answers=[fails("timed out")]), host="x", min_valid_days=1) is None


class TestTime:
    CHART = "Tracking {0} [40.119.6.228:123].\r\nCollecting 1 samples.\r\nThe current time is 11/22/2026.\r\n12:00:01, {1}\r\n"

    def test_offset_from_the_source_that_is_followed(self) -> None:
        host = Foreign(
            answers=[Completed(0, "time.windows.com,0x9 \r\n"), Completed(0, self.CHART.format("x", "-00.2500000s"))]
        )
        done = do("check_time_offset", host)
        assert (done.data["offset_seconds"], done.stdout) == (0.25, "0.25 s ahead, says w32tm")
        assert [argv for argv, _ in host.asked] == [
            ("w32tm", "/query", "/source"),
            ("w32tm", "/stripchart", "/computer:time.windows.com", "/samples:1", "/dataonly"),
        ]
        comma = Foreign(answers=[Completed(0, "DC01"), Completed(0, self.CHART.format("x", "+00,2500000s"))])
        assert judge("time_offset_below", comma, seconds=0.2) is False

    @pytest.mark.parametrize(
        "source", ["Local CMOS Clock", "Free-running System Clock", "VM IC Time Synchronization Provider"]
    )
    def test_a_clock_of_its_own_is_no_source(self, source: str) -> None:
        host = Foreign(answers=[Completed(0, f"{source} \r\n")])
        assert (
            do("check_time_offset", host).stderr
            == f"the clock is not synchronised over the network: its source is {source}"
        )
        assert judge("time_offset_below", host, seconds=1) is None

    def test_no_answer_is_no_offset(self) -> None:
        host = Foreign(answers=[Completed(0, "ntp.example"), Completed(0, self.CHART.format("x", "error: 0x800705B4"))])
        assert do("check_time_offset", host).stderr == "w32tm: 12:00:01, error: 0x800705B4"

    def test_setting_it(self) -> None:
        host = Foreign(answers=[Completed(0)])
        do("sync_time", host)
        assert host.asked[0][0] == ("w32tm", "/resync", "/rediscover")


SHARP = "x'; Remove-Item C:\\ -Recurse; $(1) `"
GIVEN: dict[str, dict[str, Any]] = {
    "find_processes": {"name": SHARP.replace("\\", "")},
    "kill_process": {"name": SHARP.replace("\\", "")},
    "set_priority": {"name": SHARP.replace("\\", ""), "nice": 3},
    "check_disk_usage": {"path": "C:\\" + SHARP.replace("C:\\", "")},
    "find_large_files": {"path": "C:\\" + SHARP.replace("C:\\", ""), "min_size_mb": 1},
    "clean_directory": {"path": "C:\\x\\" + SHARP.replace("C:\\", ""), "patterns": [SHARP.replace("\\", "")]},
    "create_directory": {"path": "C:\\" + SHARP.replace("C:\\", "")},
    "remove_file": {"path": "C:\\a"},
    "copy_file": {"source": "C:\\" + SHARP.replace("C:\\", ""), "destination": "C:\\b"},
    "check_certificate": {"path": "C:\\" + SHARP.replace("C:\\", "")},
}


@pytest.mark.parametrize("name", GIVEN)
def test_values_are_never_part_of_a_script(name: str) -> None:
    host = Foreign(
        files={"C:\\a": b"1"},
        answers=[
            says(
                processes=[process(7, GIVEN[name].get("name", "x"))], guarded=[], vital=[], path="", total=1, free=0, files=[], count=0,
                bytes=0, unread=0, removed=0, freed=0, left=0, failed=[], now=0, until=0, before={},
            )
        ],
    )  # fmt: skip
    do(name, host, seconds=0.1, **GIVEN[name])
    assert host.asked
    for argv, env in host.asked:
        assert "Remove-Item" not in " ".join(argv)
        assert variables(argv[-1]) - {"SystemDrive"} == set(env), "a script reads what it is given, and nothing else"


def test_everything_is_there_but_what_windows_has_not() -> None:
    known = catalogue()
    absent = {
        thing.name for thing in (*known.actions.values(), *known.checks.values()) if "windows" not in thing.platforms
    }
    assert absent == {"rotate_logs", "vacuum_journal", "clean_package_cache", "renew_certificate"}
    never_tried = {
        thing.name for thing in known.actions.values() if "windows" in thing.platforms and "windows" in thing.tried_on
    }
    assert never_tried == {"wait", "assert", "escalate"}


def test_a_step_with_an_administrators_rights_goes_through_no_sudo() -> None:
    host = LocalHost()
    host.platform = "windows"
    assert host.elevated() is host
