"""This machine as a host: files, connections and services, also with other rights."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from learner.actions.host import HostError
from learner.executor.hosts.local import LocalHost
from learner.executor.service_managers import choose
from learner.executor.service_managers.supervisord import Supervisord
from learner.executor.service_managers.systemd import Systemd
from learner.executor.service_managers.sysv import SysV
from tests.executor.conftest import Supervisor, free_port, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


@pytest.fixture(params=["as we are", "elevated"])
def host(request: pytest.FixtureRequest) -> LocalHost:
    # `env` stands for sudo: whoever runs these tests may be root already, or may not become it
    return LocalHost(name="web-1", become=("env", "BECAME=1"), is_elevated=request.param == "elevated")


def test_files_are_read_written_and_looked_at(host: LocalHost, tmp_path: Path) -> None:
    path = tmp_path / "a file with ' and spaces"
    for content in (b"", b"text\n", b"caf\xc3\xa9 $(no) `no`\n", bytes(range(256)) * 100, b"x" * 40_000):
        host.write_file(str(path), content, "0640")
        assert path.read_bytes() == content
        assert host.read_file(str(path)) == content
        assert host.read_file(str(path), 3) == content[:3]
        found = host.stat(str(path))
        assert found
        assert (found.kind, found.size_bytes, found.mode) == ("file", len(content), "0640")
        assert found.modified_at == pytest.approx(path.stat().st_mtime, abs=1)
    assert os.listdir(tmp_path) == [path.name]
    directory = host.stat(str(tmp_path))
    assert directory
    assert directory.kind == "directory"
    assert host.stat(str(tmp_path / "none")) is None
    assert host.stat(str(path / "below")) is None
    os.symlink("nowhere", tmp_path / "dangling")
    assert host.stat(str(tmp_path / "dangling")) is None


def test_what_can_not_be_done_says_why(host: LocalHost, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file or directory") as e:
        host.read_file(str(tmp_path / "none"))
    assert e.value.kind == "missing"
    with pytest.raises(HostError) as e:
        host.write_file(str(tmp_path / "none/file"), b"x")
    assert "none/file" in str(e.value)


def test_become_stands_before_the_command_and_the_environment_survives_it() -> None:
    host = LocalHost(become=("env", "BECAME=1"), is_elevated=True)
    done = host.run(["sh", "-c", 'echo "$BECAME $X"'], timeout_seconds=10, env={"X": "a b"})
    assert done.stdout == "1 a b\n"


def test_a_port_is_open_or_says_why_not(host: LocalHost) -> None:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert host.connect("127.0.0.1", listening.getsockname()[1], 2) is None
    assert host.connect("127.0.0.1", free_port(), 2) == "connection refused"


def test_an_address_answers_or_says_why_not(host: LocalHost, tmp_path: Path) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = int(self.path.strip("/") or 200)
            body = b"h\xc3\xa9llo" + b"x" * (200_000 if status == 203 else 0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        assert (host.http_get(f"{at}/200", 3).status, host.http_get(f"{at}/200", 3).body) == (200, "héllo")
        assert host.http_get(f"{at}/503", 3).status == 503
        assert len(host.http_get(f"{at}/203", 3).body) < 70_000
        server.shutdown()
    gone = host.http_get(at, 3)
    assert (gone.status, gone.error) == (None, "connection refused")
    assert host.http_get("http://no-such-name.invalid/", 5).status is None


def test_names_resolve_or_do_not() -> None:
    host = LocalHost()
    assert "127.0.0.1" in host.resolve("localhost", 5) or "::1" in host.resolve("localhost", 5)
    assert host.resolve("no-such-name.invalid", 5) == []


def test_what_kind_of_machine_it_is() -> None:
    facts = LocalHost(service_manager="systemd").facts()
    assert (facts.os_id, facts.arch, facts.service_manager) != (None, None, None)


def test_supervisord_starts_stops_and_tells_the_truth(supervised: Callable[..., Supervisor], tmp_path: Path) -> None:
    programs = {
        "good": "sleep 60",
        "bad": "sh -c 'echo cannot open /run/bad.pid >&2; exit 1'",
        "stubborn": "sh -c 'trap \"\" TERM; while :; do sleep 0.2; done'",
    }
    config = supervised(programs).config
    host = LocalHost(supervisor_config=str(config))
    manager = host.services
    assert isinstance(manager, Supervisord)
    assert manager.status("good") == "stopped"
    assert manager.status("none") == "unknown"
    assert manager.start("good", 15).success
    assert manager.status("good") == "running"
    assert manager.start("good", 15).success, "what runs already is no failure"
    assert manager.restart("good", 15).success
    assert manager.reload("good", 15).success
    wait_for(lambda: manager.status("good") in ("failed", "stopped"))
    assert manager.stop("good", 15).success, "what does not run is no failure"
    bad = manager.start("bad", 15)
    assert not bad.success
    assert "cannot open /run/bad.pid" in bad.stderr
    assert manager.status("bad") == "failed"
    assert not manager.start("none", 15).success
    assert manager.start("stubborn", 15).success
    assert manager.stop("stubborn", 15).success, "supervisord kills what ignores TERM"
    assert manager.status("stubborn") == "stopped"


def test_supervisord_that_is_gone_is_unknown(tmp_path: Path, supervised: Callable[..., Supervisor]) -> None:
    config = supervised({"good": "sleep 60"})
    config.control("shutdown")
    wait_for(lambda: not (config.folder / "s").exists())
    manager = Supervisord(LocalHost(), str(config.config))
    assert manager.status("good") == "unknown"
    assert not manager.start("good", 5).success


def test_the_service_manager_is_the_one_asked_for() -> None:
    host = LocalHost()
    assert isinstance(choose(host, "systemd"), Systemd)
    assert isinstance(choose(host, "supervisord"), Supervisord)
    assert isinstance(choose(host, "sysv"), SysV)


def test_why_a_program_did_not_start_is_told_and_no_older_failure(
    supervised: Callable[..., Supervisor], tmp_path: Path
) -> None:
    why = tmp_path / "why"
    made = supervised({"web": f"sh -c '. {why}; exit 1'"})
    manager = Supervisord(LocalHost(), str(made.config))
    for script, wanted in (
        ("echo first >&2", "first"),
        ("echo second", "second"),
        ("echo second", "second"),
        ("echo third >&2", "third"),
    ):
        why.write_text(script)
        failed = manager.start("web", 15)
        assert (failed.success, failed.stderr.splitlines()[-1]) == (False, wanted)
        assert len(failed.stderr.splitlines()) == 2
    why.write_text("true")
    assert manager.start("web", 15).stderr == "web: ERROR (spawn error)"
