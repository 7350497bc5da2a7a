"""Files and directories, on a real file system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from learner.actions import catalogue
from learner.actions.base import UNKNOWN, Outcome
from learner.actions.host import Deadline, HostError
from learner.executor.hosts.local import LocalHost
from learner.facts import get, merged

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")


def do(name: str, host: LocalHost | None = None, **params: Any) -> Outcome:
    action = catalogue().actions[name]
    return action.run(action.Params.model_validate(params), host or LocalHost(), Deadline.after(20))


def effects(name: str, state: dict[str, Any] | None = None, **params: Any) -> Any:
    action = catalogue().actions[name]
    return action.effects(action.Params.model_validate(params), state or {})


def test_a_directory_with_its_parents_and_mode(tmp_path: Path) -> None:
    path = str(tmp_path / "a/b")
    done = do("create_directory", path=path, mode="0750")
    assert done.success, done.stderr
    assert oct(os.stat(path).st_mode & 0o7777) == "0o750"
    assert done.facts["files", path, "mode"] == "0750"
    again = do("create_directory", path=path, mode="0750")
    assert again.success, "a second time changes nothing"
    (tmp_path / "file").write_text("")
    assert "File exists" in do("create_directory", path=str(tmp_path / "file")).stderr
    assert effects("create_directory", path=path, mode="750") == {
        ("files", path, "exists"): True,
        ("files", path, "mode"): "0750",
    }


def test_a_file_is_removed_once(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    assert do("remove_file", path=str(path)).data == {"removed": True}
    assert do("remove_file", path=str(path)).data == {"removed": False}
    assert "is a directory" in do("remove_file", path=str(tmp_path)).stderr


def test_a_stale_pid_file_is_removed_and_a_live_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    kept = do("remove_file", path=str(path), only_if="stale_pid")
    assert (kept.success, path.exists()) == (False, True)
    assert f"process {os.getpid()} is alive" in kept.stderr
    path.write_text("999999999")
    assert do("remove_file", path=str(path), only_if="stale_pid").success
    assert not path.exists()


def test_a_file_is_written_whole_and_the_old_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    assert do("write_file", path=str(path), content="one\n", mode="0600").data == {"changed": True}
    assert do("write_file", path=str(path), content="one\n").data == {"changed": False}
    assert do("write_file", path=str(path), content="two\n").success
    assert path.read_text() == "two\n"
    assert (tmp_path / "conf.learner-backup").read_text() == "one\n"
    assert oct(path.stat().st_mode & 0o7777) == "0o600", "its permissions stay"
    assert do("restore_file", path=str(path)).success
    assert path.read_text() == "one\n"


def test_a_copy_a_backup_elsewhere_and_back(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    assert do("copy_file", source=str(path), destination=str(tmp_path / "g")).success
    assert do("backup_file", path=str(path), backup_dir=str(tmp_path / "kept")).success
    assert (tmp_path / "kept/f.learner-backup").read_text() == "x"
    path.write_text("broken")
    assert do("restore_file", path=str(path), backup_dir=str(tmp_path / "kept")).success
    assert path.read_text() == "x"
    assert "No such file" in do("copy_file", source=str(tmp_path / "none"), destination=str(path)).stderr


def test_permissions(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("")
    assert do("set_permissions", path=str(path), mode="0640").facts["files", str(path), "mode"] == "0640"
    assert not do("set_permissions", path=str(path), owner="no-such-user").success


@pytest.mark.parametrize(
    ("before", "line", "match", "after"),
    [
        ("a = 1\nb = 2\n", "a = 3", "a =", "a = 3\nb = 2\n"),
        ("a = 1\n", "b = 2", None, "a = 1\nb = 2\n"),
        ("a = 1", "b = 2", None, "a = 1\nb = 2\n"),
        ("", "a = 1", "a =", "a = 1\n"),
        (None, "a = 1", None, "a = 1\n"),
        ("a = 1\n", "a = 1", "a =", "a = 1\n"),
        ("caf\udce9\n", "x", None, "caf\udce9\nx\n"),
    ],
)
def test_a_line_is_there_once(tmp_path: Path, before: str | None, line: str, match: str | None, after: str) -> None:
    path = tmp_path / "conf"
    if before is not None:
        path.write_text(before, errors="surrogateescape")
    for _ in range(2):
        assert do("ensure_line", path=str(path), line=line, **({"match": match} if match else {})).success
        assert path.read_text(errors="surrogateescape") == after


def test_what_stands_there_and_what_can_not_be_seen(tmp_path: Path) -> None:
    class Blind(LocalHost):
        """A host that does not let itself be looked at."""

        def stat(self, path: str) -> Any:
            raise HostError("permission denied", "denied")

    for name, there, absent in (("file_exists", True, False), ("file_absent", False, True)):
        check = catalogue().checks[name]
        for path, wanted in ((tmp_path, there), (tmp_path / "none", absent)):
            p = check.Params.model_validate({"path": str(path)})
            assert check.holds(p, merged({}, check.probe(p).read(LocalHost(), 5))) is wanted
        p = check.Params.model_validate({"path": "/x"})
        state = merged({}, check.probe(p).read(Blind(), 5))
        assert get(state, ("files", "/x", "exists")) == UNKNOWN
        assert check.holds(p, state) is None
