"""A Windows host over WinRM: what it is asked, and what is made of its answers. There is no Windows here: a session
answers in the host's place."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from learner.actions.host import HostError
from learner.errors import LearnerError
from learner.executor.hosts import winrm_scripts
from learner.executor.hosts.processes import HEAD_BYTES, TAIL_BYTES
from learner.executor.hosts.winrm import WinRmHost
from tests.powershell import faults

SCRIPTS = {name: text for name, text in vars(winrm_scripts).items() if name.isupper()}
FACTS = {"code": 0, "version": "10.0.20348", "arch": "AMD64", "name": "WIN-1"}


@dataclass
class Answering:
    """A session with prepared answers."""

    answers: list[dict[str, Any] | None]
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    closed: bool = False

    def ask(self, script: str, seconds: float, **values: Any) -> dict[str, Any] | None:
        self.asked.append((script, values))
        return self.answers.pop(0)

    def close(self) -> None:
        self.closed = True


def host(*answers: dict[str, Any] | None) -> tuple[WinRmHost, Answering]:
    session = Answering([FACTS, *answers])
    return WinRmHost("winrm://admin@win-1:5986", session=session), session


def no(kind: str, err: str, **more: int) -> dict[str, Any]:
    return {"code": 1, "err": err, "kind": kind, "native": 0, "result": 0, **more}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_powershell_and_takes_its_values_as_parameters(name: str) -> None:
    assert faults(SCRIPTS[name]) == []
    assert SCRIPTS[name].startswith("param(")


def test_every_value_is_a_parameter_that_the_script_has() -> None:
    sharp = "x'; Remove-Item C:\\ #"
    done = {"code": 0, "exit": 0, "out": "", "text": "", "folder": False, "size": 1, "owner": "", "modified": 1, "open": True,
            "status": 200, "found": ""}  # fmt: skip
    it, session = host(*[done] * 7)
    it.run([sharp, sharp], timeout_seconds=5, env={"A": sharp}, cwd=sharp, stdin=sharp)
    it.read_file(sharp)
    it.write_file(sharp, sharp.encode())
    it.stat(sharp)
    it.connect(sharp, 80, 1)
    it.http_get(sharp, 1)
    it.resolve(sharp, 1)
    assert [script for script, _ in session.asked] == [
        SCRIPTS[name] for name in ("FACTS", "RUN", "READ", "WRITE", "STAT", "CONNECT", "HTTP", "RESOLVE")
    ]
    for script, values in session.asked:
        assert sharp not in script
        head = script[len("param(") : script.index(")")]
        assert {f"${name}" for name in values} == set(filter(None, head.split(", ")))


def test_what_it_is() -> None:
    it, session = host()
    facts = it.facts()
    assert (it.name, facts.os_version, facts.arch, facts.service_manager) == ("WIN-1", "10.0.20348", "amd64", "windows")
    assert it.elevated() is it
    assert it.services.kind == "windows"
    it.close()
    assert session.closed


@pytest.mark.parametrize(
    ("said", "code", "stderr", "late"),
    [
        ({"code": 0, "exit": 3, "out": "a", "err": "b", "late": False}, 3, "b", False),
        ({"code": 0, "exit": -1073741510, "out": "a", "err": "", "late": False}, 0xC000013A, "", False),
        ({"code": 0, "exit": 143, "out": "a", "err": "", "late": True}, 143, "", True),
        (no("Win32Exception", "The system cannot find the file specified", native=2), 127, "x.exe: command not found", False),
        (no("Win32Exception", "Access is denied", native=5), 126, "x.exe: Access is denied", False),
        (no("Win32Exception", "Not enough memory", native=8), 125, "x.exe: Not enough memory", False),
        (None, 143, "", True),
    ],
)  # fmt: skip
def test_a_command(said: dict[str, Any] | None, code: int, stderr: str, late: bool) -> None:
    it, _ = host(said)
    done = it.run(["x.exe", "a b"], timeout_seconds=5)
    assert (done.exit_code, done.stderr, done.timed_out) == (code, stderr, late)


def test_a_long_output_keeps_head_and_tail() -> None:
    it, _ = host({"code": 0, "exit": 0, "out": "h" * HEAD_BYTES + "m" * 100 + "t" * TAIL_BYTES, "late": False})
    done = it.run(["x"], timeout_seconds=5)
    assert done.dropped_bytes == 100
    assert (done.stdout[0], done.stdout[-1]) == ("h", "t")


def test_files() -> None:
    it, session = host({"code": 0, "text": base64.b64encode(b"\xff\x00").decode()}, {"code": 0})
    assert it.read_file("C:\\a") == b"\xff\x00"
    it.write_file("C:\\a", b"\xff", "0644")
    assert session.asked[-1][1] == {"Path": "C:\\a", "Text": base64.b64encode(b"\xff").decode()}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (no("FileNotFoundException", "Could not find file"), "missing"),
        (no("UnauthorizedAccessException", "Access to the path is denied."), "denied"),
        (no("IOException", "There is not enough space on the disk.", result=-2147024784), "full"),
        (no("IOException", "The process cannot access the file"), "other"),
        (None, "unreachable"),
    ],
)
def test_what_goes_wrong_with_a_file_has_its_kind(said: dict[str, Any] | None, kind: str) -> None:
    for order in (lambda it: it.read_file("C:\\a"), lambda it: it.write_file("C:\\a", b"")):
        with pytest.raises(HostError) as refused:
            order(host(said)[0])
        assert refused.value.kind == kind


def test_only_what_is_not_found_is_absent() -> None:
    there = {"code": 0, "folder": True, "size": 0, "modified": 1_790_000_000, "owner": "BUILTIN\\Administrators"}
    found = host(there)[0].stat("C:\\web")
    assert found
    assert (found.kind, found.owner) == ("directory", "BUILTIN\\Administrators")
    assert host(no("ItemNotFoundException", "Cannot find path"))[0].stat("C:\\web") is None
    with pytest.raises(HostError, match="denied"):
        host(no("UnauthorizedAccessException", "Access is denied"))[0].stat("C:\\web")


def test_ports_addresses_and_names() -> None:
    refused = no("SocketException", "No connection could be made because the target machine actively refused it")
    assert host({"code": 0, "open": True})[0].connect("127.0.0.1", 80, 1) is None
    assert host({"code": 0, "open": False})[0].connect("127.0.0.1", 80, 1) == "timed out"
    assert host(refused)[0].connect("127.0.0.1", 80, 1) == "connection refused"
    assert host({"code": 0, "status": 503, "body": ""})[0].http_get("http://x/", 1).status == 503
    assert host(no("WebException", "Unable to connect"))[0].http_get("http://x/", 1).error == "unable to connect"
    assert host({"code": 0, "found": "10.0.0.2 10.0.0.1"})[0].resolve("db", 1) == ["10.0.0.1", "10.0.0.2"]
    assert host(no("SocketException", "No such host is known"))[0].resolve("db", 1) == []
    for ask in (
        lambda it: it.connect("x", 80, 1),
        lambda it: it.http_get("http://x/", 1),
        lambda it: it.resolve("x", 1),
    ):
        with pytest.raises(HostError, match="timed out"):
            ask(host(None)[0])


def test_what_winrm_needs_is_said() -> None:
    with pytest.raises(LearnerError, match="no address"):
        WinRmHost("winrm://-x")
    if find_spec("pypsrp") is None:
        with pytest.raises(LearnerError, match="needs pypsrp"):
            WinRmHost("winrm://host")
