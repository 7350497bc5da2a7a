"""What holds for every runbook in this repository, on whatever platform; scripts of other platforms, as far as a
Linux machine can try them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from learner import audits
from learner.models import Level
from learner.runbook_file import parse, read
from learner.yaml_tree import load
from tests.powershell import faults, variables
from tests.runbooks.host import ROOT

FILES = sorted(path for path in (ROOT / "runbooks").rglob("RB-*.yaml"))
NEEDS = {
    "service_crash", "disk_full", "high_cpu", "memory_leak", "cert_expiry", "port_unreachable", "endpoint_down",
    "process_hung", "dns_failure", "time_drift", "config_drift", "backup_failure",
}  # fmt: skip


@pytest.mark.parametrize("platform", sorted({path.parent.name for path in FILES}))
def test_each_platform_serves_every_need_once(platform: str) -> None:
    types = [kind for path in FILES if path.parent.name == platform for kind in read(path).runbook.incident_types]
    assert sorted(types) == sorted(NEEDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_audit_would_block_its_steps(path: Path) -> None:
    """As if a machine had proposed it whole, for a runbook that does nothing."""
    held: Any = load(path.read_text()).value
    nothing = {"id": "nothing", "action": "escalate", "params": {"message": "nothing"}}
    old = parse(json.dumps(held | {"steps": [nothing], "rollback": []}).encode(), str(path))
    new = parse(json.dumps(held | {"version": 2}).encode(), str(path))
    found = audits.run(audits.Change(old, new), audits.Evidence(()))
    assert [finding for finding in found if finding.level is Level.BLOCK] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_audit_would_block_it_as_a_first_version(path: Path) -> None:
    """What validate.yml asks of a runbook that is new."""
    found = audits.run(audits.Change.first(read(path)), audits.Evidence(()))
    assert [finding for finding in found if finding.level is Level.BLOCK] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_parameters_do_not_hide_names_of_the_language(path: Path) -> None:
    assert not {"state", "incident", "host", "steps"} & set(read(path).runbook.parameters)


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name != "linux"], ids=lambda path: path.stem)
def test_it_says_that_it_was_not_run(path: Path) -> None:
    assert "not run on" in path.read_text().split("\nid: ")[0]
    assert "Not run on" in read(path).runbook.description


def scripts(path: Path) -> Iterator[str]:
    """The shell texts of a runbook."""
    book = read(path).runbook
    for item in (*book.all_steps, *book.verification):
        if item.params.get("shell") in ("sh", "bash"):
            yield str(item.params["script"])
        argv = item.params.get("argv")
        if isinstance(argv, list) and argv[:2] == ["sh", "-c"]:
            yield str(argv[2])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_shell_scripts_parse(path: Path) -> None:
    for script in scripts(path):
        done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def powershell_texts(path: Path) -> Iterator[tuple[str, set[str]]]:
    """The PowerShell of a runbook, each with the names of the environment that it is given."""
    book = read(path).runbook
    for item in (*book.all_steps, *book.verification):
        given = set(item.params.get("env", {}))
        if item.params.get("shell") == "powershell":
            yield str(item.params["script"]), given
        argv = item.params.get("argv")
        if isinstance(argv, list) and argv[0] == "powershell":
            assert argv[1:4] == ["-NoProfile", "-NonInteractive", "-Command"]
            yield "\n".join(map(str, argv[4:])), given


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "windows"], ids=lambda path: path.stem)
def test_its_powershell_parses_and_takes_values_from_the_environment(path: Path) -> None:
    for script, given in powershell_texts(path):
        assert faults(script) == []
        assert "{{" not in script
        assert variables(script) == given


def judged(tmp_path: Path, runbook: str, program: str, prints: str, *arguments: str) -> bool:
    """Whether the runbook's scripted claim holds when `program` prints what it prints on a Mac."""
    (tmp_path / program).write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\n")
    (tmp_path / program).chmod(0o755)
    script = list(scripts(ROOT / f"runbooks/darwin/{runbook}.yaml"))[-1]
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", script, "sh", *arguments], env=env).returncode == 0


def test_macos_memory_and_processor_claims(tmp_path: Path) -> None:
    memory = " 204800 /Applications/Some App.app/Contents/MacOS/some\n  51200 /usr/local/bin/webd\n  51200 webd"
    assert judged(tmp_path, "RB-MAC-MEMORY-001", "ps", memory, "webd", "101")
    assert not judged(tmp_path, "RB-MAC-MEMORY-001", "ps", memory, "webd", "100")
    assert not judged(tmp_path, "RB-MAC-MEMORY-001", "ps", memory, "absent", "100")
    processor = " 99.5 /usr/local/bin/webd\n  0.0 webd\n 55.0 other"
    assert judged(tmp_path, "RB-MAC-CPU-001", "ps", processor, "webd", "100")
    assert not judged(tmp_path, "RB-MAC-CPU-001", "ps", processor, "webd", "50")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_parameter_is_used(path: Path) -> None:
    used = path.read_text().split("\nsteps:")[1]
    unused = [name for name in read(path).runbook.parameters if not re.search(rf"\b{name}\b", used)]
    assert unused == []
