from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from learner.cli.telemetry import command
from learner.cli.telemetry.common import counting, waiting
from learner.errors import LearnerError
from tests.samples import document
from tests.telemetry.conftest import World, numbered


@pytest.fixture
def host(world: World) -> Path:
    world.clone("host")
    file = world.path / "host.yml"
    file.write_text(
        f"client_id: acme\nexecutor_id: host\nrepository: {world.path / 'host'}\nspool: {world.path / 'host-spool'}\n"
    )
    return file


def run(*args: object, stdin: str = "") -> Result:
    return CliRunner().invoke(command, [str(arg) for arg in args], input=stdin)


def test_from_import_to_show_and_export(world: World, host: Path) -> None:
    lines = "\n".join(
        json.dumps(document(execution_id=f"exec-20261122-{n:04d}", notes="password=hunter2")) for n in range(3)
    )
    imported = run("import", "-", "--host-config", host, stdin=lines + "\n{\n")
    assert imported.exit_code == 3
    assert "3 in the spool" in imported.stdout
    assert "stdin:4" in imported.stderr
    assert json.loads(run("push", "--host-config", host, "--json").stdout) == {
        "taken": 0,
        "skipped": [],
        "sent": 3,
        "acknowledged": 0,
        "remaining": 3,
        "set_aside": [],
    }
    learner = world.clone("learner").path
    assert run("fold", "--repo", learner).stdout == "3 new on telemetry\n"
    assert run("fold", "--repo", learner).stdout == "nothing to do\n"
    shown = run("show", "--repo", learner)
    assert shown.exit_code == 0, shown.stderr
    assert "exec-20261122-0002" in shown.stdout
    [only] = json.loads(run("show", "exec-20261122-0001", "--repo", learner, "--json").stdout)["results"]
    assert only["notes"] == "password=***"
    exported = run("export", "--repo", learner, "--client", "acme").stdout.splitlines()
    assert [json.loads(line)["execution_id"] for line in exported] == [f"exec-20261122-{n:04d}" for n in range(3)]
    assert run("export", "--repo", learner, "--client", "beta").stdout == ""


def test_show_of_a_plain_folder_with_filters(tmp_path: Path) -> None:
    for number, status in enumerate(["success", "failure", "failure"]):
        (tmp_path / f"{number}.json").write_text(
            numbered(number, status=status, hostname=f"h{number}").model_dump_json()
        )

    def ids(*args: str) -> list[str]:
        found = json.loads(run("show", "--telemetry", tmp_path, "--json", *args).stdout)["results"]
        return [one["execution_id"][-1] for one in found]

    assert ids() == ["2", "1", "0"]
    assert ids("--status", "failure") == ["2", "1"]
    assert ids("--host", "h1") == ["1"]
    assert ids("--runbook", "RB-LIN-SERVICE-001-v2") == []
    assert ids("--since", "2026-11-23") == []
    assert ids("--limit", "1") == ["2"]
    missing = run("show", "--telemetry", tmp_path, "exec-20261122-9999")
    assert isinstance(missing.exception, LearnerError)
    for odd in ("yesterday", "2026-13-40", "2026-9-1"):
        assert isinstance(run("show", "--telemetry", tmp_path, "--since", odd).exception, LearnerError)


def test_what_is_imported_is_told_as_what_became_of_it(world: World, host: Path) -> None:
    one = document(execution_id="exec-20261122-0001")
    assert "1 in the spool" in run("import", "-", "--host-config", host, stdin=json.dumps(one)).stdout
    other = run("import", "-", "--host-config", host, stdin=json.dumps(one | {"notes": "other"}))
    assert other.exit_code == 3
    assert "0 in the spool" in other.stdout
    assert "set aside: another result with this id waits" in other.stderr


def test_what_windows_writes_and_what_is_no_lines(world: World, host: Path) -> None:
    folder = world.path / "results"
    folder.mkdir()
    nothing = run("import", folder, "--host-config", host)
    assert (nothing.exit_code, "no .json and no .jsonl" in nothing.stderr) == (3, True)
    text = json.dumps(document(execution_id="exec-20261122-0001"))
    (folder / "marked.json").write_text(text, "utf-8-sig")
    (folder / "marked.jsonl").write_text(text.replace("-0001", "-0002") + "\n", "utf-8-sig")
    assert "2 in the spool" in run("import", folder, "--host-config", host).stdout
    assert "1 in the spool" in run("import", folder / "marked.json", "--host-config", host).stdout
    (world.path / "wide.jsonl").write_text(text, "utf-16")
    (world.path / "list.json").write_text(f"[{text}]")
    assert "UTF-16" in run("import", world.path / "wide.jsonl", "--host-config", host).stderr
    assert "it is a list" in run("import", world.path / "list.json", "--host-config", host).stderr


def test_a_watching_push_tells_what_it_set_aside_and_what_waits_too_long(world: World, host: Path) -> None:
    world.spool("host").add(numbered(1, client_id="beta"))
    os.utime(world.spool("host").add(numbered(2)), (time.time() - 30 * 86_400,) * 2)
    watching = subprocess.Popen(
        [sys.executable, "-m", "learner", "telemetry", "push", "--watch", "--host-config", str(host)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stderr is not None
    lines = [watching.stderr.readline() for _ in range(3)]
    watching.terminate()
    assert watching.wait(10) == 0
    watching.stderr.close()
    assert "1 results wait in the spool, the oldest for 30 days" in lines[0]
    assert "set aside: " in lines[1] and "client beta" in lines[1]
    assert "1 sent" in lines[2]


def test_more_than_a_second_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("fetching telemetry"), counting("{} results read") as count:
        count(1)
        time.sleep(1.2)
        count(12_345)
        count(12_346)
    with waiting("nothing"), counting("{}") as count:
        count(1)
    assert capfd.readouterr().err.splitlines() == ["· fetching telemetry", "· 12,345 results read"]


def test_show_works_offline_with_what_is_here(world: World, host: Path) -> None:
    world.spool("host").add(numbered(1))
    world.push("host")
    world.fold()
    learner = world.clone("learner").path
    world.remote.path.rename(world.path / "away.git")
    shown = run("show", "--repo", learner)
    assert "exec-20261122-0001" in shown.stdout
    assert "this is what was here already" in shown.stderr


def test_what_a_host_reports_is_text_not_markup(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(numbered(1, error_message="[link=https://evil]x[/link]").model_dump_json())
    assert "[link=" in run("show", "--telemetry", tmp_path).stdout.replace("\n", "")
