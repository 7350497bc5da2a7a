"""Disks: real files in a temporary directory, real df; package managers and the like are scripts on PATH."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from learner.actions.base import UNKNOWN
from learner.actions.disk.cleaning import CleanDirectory, CleanDirectoryParams, FindLargeFiles, FindLargeFilesParams
from learner.actions.disk.posix import refusal
from learner.actions.disk.upkeep import (
    CleanPackageCache,
    RotateLogs,
    RotateLogsParams,
    VacuumJournal,
    VacuumJournalParams,
    freed_bytes,
)
from learner.actions.disk.usage import (
    CheckDiskUsage,
    DiskParams,
    DiskProbe,
    DiskUsageBelow,
    DiskUsageBelowParams,
    Usage,
    parse_df,
)
from learner.actions.host import Deadline
from learner.actions.network import NoParams
from learner.executor.hosts.local import LocalHost
from learner.facts import merged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")

DAY = 86_400


def soon() -> Deadline:
    return Deadline.after(20)


def make(path: Path, size: int = 10, days: float = 0) -> Path:
    path.write_bytes(b"x" * size)
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def tidy(path: Path | str, *patterns: str, **more: Any) -> Any:
    return CleanDirectory().run(CleanDirectoryParams(path=str(path), patterns=patterns, **more), LocalHost(), soon())


@pytest.fixture
def bin_only(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH: the shell and what a test puts there."""
    path = tmp_path_factory.mktemp("bin")
    for program in ("sh", "cat", "df"):
        os.symlink(shutil.which(program) or "", path / program)
    monkeypatch.setenv("PATH", str(path))
    return path


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class TestUsage:
    LINUX = (
        "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"
        "/dev/vda1         10485760  8388608   2097152      80% /var/my data\n"
    )

    def test_df(self) -> None:
        inodes = "Filesystem      Inodes  IUsed   IFree IUse% Mounted on\n/dev/vda1 6553600 655360 5898240   10% /var/my data\n"
        assert parse_df(self.LINUX, inodes) == Usage(80, 2.0, 10.0, 10)

    def test_df_without_inodes(self) -> None:
        btrfs = "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/vda1 0 0 0 - /var\n"
        assert parse_df(self.LINUX, btrfs) == Usage(80, 2.0, 10.0, None)
        assert parse_df(self.LINUX, "") == Usage(80, 2.0, 10.0, None)

    def test_df_of_a_bsd(self) -> None:
        inodes = (
            "Filesystem 512-blocks Used Available Capacity iused ifree %iused  Mounted on\n"
            "/dev/disk1s1 976490576 200 700 23% 488411 4881968909 1% /\n"
        )
        assert parse_df(self.LINUX, inodes) == Usage(80, 2.0, 10.0, 1)

    def test_df_of_what_has_no_size(self) -> None:
        head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        assert parse_df(f"{head}proc 0 0 0 - /proc\n", "") is None
        assert parse_df(f"{head}proc 0 0 0 0% /proc\n", "") is None

    def test_the_root(self) -> None:
        facts = DiskProbe("/").read(LocalHost(), 5.0)
        state = merged({}, facts)["disk"]
        assert 0 <= state["usage_percent"] <= 100
        assert 0 < state["free_gb"] <= state["total_gb"]
        assert state["mounts"]["/"]["usage_percent"] == state["usage_percent"]

    def test_a_path_under_the_name_it_was_given(self, tmp_path: Path) -> None:
        facts = DiskProbe(f"{tmp_path}/").read(LocalHost(), 5.0)
        at = ("disk", "mounts", f"{tmp_path}/")
        assert {(*at, "usage_percent"), (*at, "free_gb")} <= facts.keys()
        assert all(path[:3] == at for path in facts)

    def test_agrees_with_the_system(self, tmp_path: Path) -> None:
        checked = CheckDiskUsage().run(DiskParams(path=str(tmp_path)), LocalHost(), soon())
        system = os.statvfs(tmp_path)
        assert checked.success
        assert checked.data["total_gb"] == pytest.approx(system.f_blocks * system.f_frsize / 2**30, abs=0.01)
        assert checked.data["free_gb"] == pytest.approx(system.f_bavail * system.f_frsize / 2**30, abs=0.2)

    def test_no_such_path(self, tmp_path: Path) -> None:
        checked = CheckDiskUsage().run(DiskParams(path=f"{tmp_path}/none"), LocalHost(), soon())
        assert not checked.success
        assert "No such file or directory" in checked.stderr
        facts = DiskProbe(f"{tmp_path}/none").read(LocalHost(), 5.0)
        assert set(facts.values()) == {UNKNOWN}

    def test_without_df(self, bin_only: Path) -> None:
        (bin_only / "df").unlink()
        checked = CheckDiskUsage().run(DiskParams(), LocalHost(), soon())
        assert (checked.success, checked.exit_code) == (False, 127)
        assert DiskProbe("/").read(LocalHost(), 5.0)["disk", "usage_percent"] == UNKNOWN

    def test_check(self) -> None:
        root, data = DiskUsageBelowParams(percent=90), DiskUsageBelowParams(percent=90, path="/data")
        check = DiskUsageBelow()
        assert check.holds(root, {"disk": {"usage_percent": 89}}) is True
        assert check.holds(root, {"disk": {"mounts": {"/": {"usage_percent": 90}}}}) is False
        assert check.holds(root, {"disk": {"usage_percent": UNKNOWN}}) is None
        assert check.holds(data, {"disk": {"usage_percent": 10, "mounts": {"/data": {"usage_percent": 95}}}}) is False
        assert check.holds(data, {"disk": {"usage_percent": 10}}) is None
        assert check.holds(data, {"disk": UNKNOWN}) is None


class TestLargeFiles:
    def find(self, path: Path, min_size_mb: float = 1, **more: Any) -> Any:
        p = FindLargeFilesParams(path=str(path), min_size_mb=min_size_mb, **more)
        return FindLargeFiles().run(p, LocalHost(), soon())

    def test_the_largest_first(self, tmp_path: Path) -> None:
        (tmp_path / "below").mkdir()
        make(tmp_path / "exactly one", 1 << 20)
        make(tmp_path / "below" / "two 'and' a half", 5 << 19)
        make(tmp_path / "small", (1 << 20) - 1)
        os.symlink(tmp_path / "exactly one", tmp_path / "link")
        found = self.find(tmp_path)
        assert found.success, found.stderr
        assert found.data == {
            "files": [
                {"path": f"{tmp_path}/below/two 'and' a half", "size_mb": 2.5},
                {"path": f"{tmp_path}/exactly one", "size_mb": 1.0},
            ],
            "count": 2,
            "total_mb": 3.5,
        }

    def test_only_old_ones(self, tmp_path: Path) -> None:
        make(tmp_path / "new", 20)
        make(tmp_path / "old", 20, days=7.01)
        make(tmp_path / "nearly", 20, days=6.99)
        assert [file["path"] for file in self.find(tmp_path, 1e-5, older_than_days=7).data["files"]] == [
            f"{tmp_path}/old"
        ]

    def test_the_list_is_capped_and_the_sum_is_not(self, tmp_path: Path) -> None:
        for i in range(60):
            make(tmp_path / f"{i}", 100)
        found = self.find(tmp_path, 1e-5)
        assert len(found.data["files"]) == 50
        assert found.data["count"] == 60

    def test_a_name_can_not_pretend_to_be_two(self, tmp_path: Path) -> None:
        make(tmp_path / "a\n999999999 passwd", 100)
        assert self.find(tmp_path, 1e-5).data["count"] == 0

    def test_none_and_nowhere(self, tmp_path: Path) -> None:
        assert self.find(tmp_path).data == {"files": [], "count": 0, "total_mb": 0.0}
        nowhere = self.find(tmp_path / "nowhere")
        assert not nowhere.success
        assert "nowhere" in nowhere.stderr

    def test_without_find(self, tmp_path: Path, bin_only: Path) -> None:
        found = self.find(tmp_path)
        assert (found.success, found.exit_code, found.stderr) == (False, 127, "find: command not found\n")


class TestCleaning:
    def test_what_matches_goes_and_is_counted(self, tmp_path: Path) -> None:
        for name in ("a.log.gz", "b.log.gz", "-rf", "with space.tmp", "quote'\".tmp", "c.log"):
            make(tmp_path / name)
        done = tidy(tmp_path, "*.gz", "*.tmp", "-rf")
        assert done.success, done.stderr
        assert done.data == {"removed": 5, "freed_bytes": 50, "left": 0}
        assert done.stdout == "removed 5 files, 0.0 MiB"
        assert names(tmp_path) == {"c.log"}

    def test_only_files_right_there(self, tmp_path: Path) -> None:
        (tmp_path / "dir.log").mkdir()
        make(tmp_path / "dir.log" / "inner.log")
        outside = make(tmp_path.parent / f"{tmp_path.name}-outside.log")
        os.symlink(outside, tmp_path / "link.log")
        os.mkfifo(tmp_path / "pipe.log")
        make(tmp_path / "file.log")
        assert tidy(tmp_path, "*.log").data["removed"] == 1
        assert names(tmp_path) == {"dir.log", "link.log", "pipe.log"}
        assert (tmp_path / "dir.log" / "inner.log").exists()
        assert outside.exists()

    def test_hidden_files_only_when_named(self, tmp_path: Path) -> None:
        make(tmp_path / ".keep")
        make(tmp_path / ".cache.tmp")
        make(tmp_path / "a.tmp")
        assert tidy(tmp_path, "*").data["removed"] == 1
        assert tidy(tmp_path, ".*.tmp").data["removed"] == 1
        assert names(tmp_path) == {".keep"}

    def test_age(self, tmp_path: Path) -> None:
        make(tmp_path / "new.log", days=6.9)
        make(tmp_path / "old.log", days=7.1)
        make(tmp_path / "future.log", days=-3)
        assert tidy(tmp_path, "*.log", older_than_days=7).data["removed"] == 1
        assert names(tmp_path) == {"new.log", "future.log"}
        assert tidy(tmp_path, "*.log").data["removed"] == 2

    def test_the_newest_are_kept(self, tmp_path: Path) -> None:
        for i in range(6):
            make(tmp_path / f"backup {i}.tar", days=i)
        make(tmp_path / "other.txt", days=99)
        assert tidy(tmp_path, "*.tar", keep_last=3).data["removed"] == 3
        assert names(tmp_path) == {"backup 0.tar", "backup 1.tar", "backup 2.tar", "other.txt"}
        assert tidy(tmp_path, "*.tar", keep_last=2, older_than_days=2).data["removed"] == 1
        assert tidy(tmp_path, "*.tar", keep_last=5, older_than_days=1).data["removed"] == 0

    def test_of_one_age_the_later_names_are_kept(self, tmp_path: Path) -> None:
        then = time.time() - DAY
        for i in (2, 0, 3, 1):
            make(tmp_path / f"b{i}", size=10 + i)
            os.utime(tmp_path / f"b{i}", (then, then))
        tidy(tmp_path, "b*", keep_last=2)
        assert names(tmp_path) == {"b2", "b3"}

    def test_again_changes_nothing(self, tmp_path: Path) -> None:
        make(tmp_path / "a.log")
        tidy(tmp_path, "*.log")
        again = tidy(tmp_path, "*.log")
        assert again.success
        assert again.data == {"removed": 0, "freed_bytes": 0, "left": 0}

    def test_more_files_than_an_output_holds(self, tmp_path: Path) -> None:
        for i in range(4000):
            make(tmp_path / f"{'long' * 20}-{i}.tmp", 1)
        assert tidy(tmp_path, "*.tmp", keep_last=10).data["removed"] == 3990
        assert len(names(tmp_path)) == 10

    def test_strange_names(self, tmp_path: Path) -> None:
        make(tmp_path / "keep.txt")
        make(tmp_path / "a\n.\nkeep.txt")
        (tmp_path / os.fsdecode(b"\xff\xfe.tmp")).write_bytes(b"x")
        make(tmp_path / "ümlaut.tmp")
        assert tidy(tmp_path, "*.tmp", "a*").data["removed"] == 2
        assert "keep.txt" in names(tmp_path)

    def test_a_failure_tells_what_was_done_before_it(self, tmp_path: Path, bin_only: Path) -> None:
        for name in ("find", "stat", "sort", "awk", "sed", "tr", "xargs", "date"):
            os.symlink(shutil.which(name, path="/usr/bin:/bin") or "", bin_only / name)
        program(bin_only, "rm", f'/bin/rm -f "{tmp_path}/a.log"; echo "rm: b.log: Permission denied" >&2; exit 1')
        make(tmp_path / "a.log", 7)
        make(tmp_path / "b.log", 5)
        done = tidy(tmp_path, "*.log")
        assert not done.success
        assert done.data == {"removed": 1, "freed_bytes": 7, "left": 1}
        assert "Permission denied" in done.stderr

    @pytest.mark.parametrize(
        "path",
        [
            *(
                "/",
                "//",
                "/.",
                "/etc",
                "/etc/",
                "//etc//",
                "/usr",
                "/bin",
                "/boot",
                "/home",
                "/var",
                "/var/lib",
                "/root",
            ),
            *("/usr/bin", "/usr/lib/systemd", "/proc/1", "/dev/shm", "/sys/kernel", "/lib/modules", "/boot/grub"),
            *("/tmp/../etc", "/var/log/..", "/private/etc"),
        ],
    )
    def test_system_directories_are_refused(self, path: str) -> None:
        assert refusal(path)
        done = tidy(path, "no-file-has-this-name-*")
        assert not done.success
        assert done.stderr.startswith("refused: ")

    @pytest.mark.parametrize(
        "path", ["/var/log", "/var/log/nginx", "/tmp", "/var/tmp", "/srv/app", "/opt/a", "/etc/a/b"]
    )
    def test_others_are_not(self, path: str) -> None:
        assert refusal(path) is None

    def test_a_link_is_refused_and_so_is_what_leads_to_the_system(self, tmp_path: Path) -> None:
        os.symlink("/usr", tmp_path / "usr")
        os.symlink("/", tmp_path / "root")
        direct = tidy(tmp_path / "usr", "no-such-name-*")
        assert "is a symbolic link" in direct.stderr
        within = tidy(tmp_path / "root" / "usr", "no-such-name-*")
        assert "leads to /usr" in within.stderr
        assert not direct.success
        assert not within.success

    def test_a_link_on_the_way_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real" / "logs").mkdir(parents=True)
        os.symlink(tmp_path / "real", tmp_path / "alias")
        make(tmp_path / "real" / "logs" / "a.log")
        assert tidy(tmp_path / "alias" / "logs", "*.log").data["removed"] == 1

    @pytest.mark.parametrize("wrong", [{"path": "logs"}, {"path": "~/logs"}, {"patterns": ("a/b",)}, {"patterns": ()}])
    def test_relative_paths_and_patterns_with_a_path(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            CleanDirectoryParams(**{"path": "/tmp/x", "patterns": ("*",), **wrong})

    def test_nowhere(self, tmp_path: Path) -> None:
        done = tidy(tmp_path / "nowhere", "*")
        assert not done.success
        assert "nowhere" in done.stderr

    def test_effects(self) -> None:
        p = CleanDirectoryParams(path="/var/log/app/", patterns=("*.gz",))
        known = {"files": {"/var/log/app/a.gz": {"exists": True}, "/var/log/app/a.log": {}, "/var/log/app/x/b.gz": {}}}
        effects = CleanDirectory().effects(p, known)
        assert effects == {
            ("disk",): UNKNOWN,
            ("files", "/var/log/app/", "modified_at"): UNKNOWN,
            ("files", "/var/log/app/a.gz"): UNKNOWN,
        }
        assert CleanDirectory().effects(p, {"files": UNKNOWN}) is not None
        assert CleanDirectory().capabilities(p).paths == {"/var/log/app/*.gz"}


class TestPrograms:
    def test_logrotate(self, bin_only: Path) -> None:
        absent = RotateLogs().run(RotateLogsParams(), LocalHost(), soon())
        assert (absent.exit_code, absent.stderr) == (127, "logrotate: command not found")
        program(bin_only, "logrotate", 'echo "$@"')
        assert RotateLogs().run(RotateLogsParams(), LocalHost(), soon()).stdout == "--force /etc/logrotate.conf\n"
        own = RotateLogsParams(config="/etc/logrotate.d/nginx")
        assert RotateLogs().run(own, LocalHost(), soon()).stdout == "--force /etc/logrotate.d/nginx\n"

    def test_journal(self, bin_only: Path) -> None:
        absent = VacuumJournal().run(VacuumJournalParams(keep_days=7), LocalHost(), soon())
        assert (absent.exit_code, absent.stderr) == (127, "journalctl: command not found")
        said = "Vacuuming done, freed 1.5G of archived journals from /var/log/journal/4e0f."
        program(bin_only, "journalctl", f'echo "$@"; echo "{said}" >&2')
        by_age = VacuumJournal().run(VacuumJournalParams(keep_days=7), LocalHost(), soon())
        assert by_age.stdout == "--vacuum-time=7d\n"
        assert by_age.data == {"freed_bytes": 3 << 29}
        by_size = VacuumJournal().run(VacuumJournalParams(keep_mb=200), LocalHost(), soon())
        assert by_size.stdout == "--vacuum-size=200M\n"

    @pytest.mark.parametrize("given", [{}, {"keep_days": 1, "keep_mb": 1}])
    def test_journal_by_one_measure(self, given: dict[str, Any]) -> None:
        refused = VacuumJournal().run(VacuumJournalParams(**given), LocalHost(), soon())
        assert not refused.success
        assert refused.stderr.startswith("refused: ")

    def test_what_journalctl_says(self) -> None:
        text = (
            "Deleted archived journal /run/log/journal/a/system@1.journal (8.0M).\n"
            "Vacuuming done, freed 8.0M of archived journals from /run/log/journal/a.\n"
            "Vacuuming done, freed 0B of archived journals from /var/log/journal.\n"
        )
        assert freed_bytes(text) == 8 << 20

    def test_package_cache(self, bin_only: Path) -> None:
        absent = CleanPackageCache().run(NoParams(), LocalHost(), soon())
        assert (absent.success, absent.exit_code) == (False, 127)
        assert absent.stderr.startswith("apt-get, dnf, ")
        program(bin_only, "yum", 'echo yum "$@"')
        assert CleanPackageCache().run(NoParams(), LocalHost(), soon()).stdout == "yum clean all\n"
        program(bin_only, "apt-get", 'echo apt-get "$@"; echo locked >&2; exit 100')
        failed = CleanPackageCache().run(NoParams(), LocalHost(), soon())
        assert (failed.success, failed.exit_code, failed.stdout) == (False, 100, "apt-get clean\n")
        assert failed.data == {"package_manager": "apt-get"}
