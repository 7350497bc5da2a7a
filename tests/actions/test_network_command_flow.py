"""Ports, addresses, names, commands, and what only directs the run."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from learner.actions import catalogue
from learner.actions.base import UNKNOWN, Outcome
from learner.actions.host import Completed, Deadline
from learner.executor.hosts.local import LocalHost
from learner.facts import merged
from tests.executor.conftest import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


def do(name: str, /, *, seconds: float = 10, host: LocalHost | None = None, **params: Any) -> Outcome:
    action = catalogue().actions[name]
    return action.run(
        action.Params.model_validate_json(json.dumps(params)), host or LocalHost(), Deadline.after(seconds)
    )


def judge(name: str, /, host: LocalHost | None = None, **params: Any) -> bool | None:
    check = catalogue().checks[name]
    p = check.Params.model_validate_json(json.dumps(params))
    return check.holds(p, merged({}, check.probe(p).read(host or LocalHost(), 5)))


@pytest.fixture
def server() -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path == "/down" else 200)
            self.end_headers()
            self.wfile.write(b"all is well")

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


def test_ports(server: int) -> None:
    assert do("check_port", port=server).data == {"open": True}
    closed = free_port()
    shut = do("check_port", port=closed)
    assert (shut.success, shut.stderr) == (False, f"connect to 127.0.0.1 port {closed}: connection refused")
    assert (judge("port_open", port=server), judge("port_open", port=closed)) == (True, False)
    waited = do("wait_for_port", port=closed, seconds=0.6)
    assert (waited.success, waited.timed_out) == (False, True)


def test_a_port_that_opens_late_is_waited_for() -> None:
    port = free_port()
    listening = socket.socket()

    def late() -> None:
        time.sleep(0.7)
        listening.bind(("127.0.0.1", port))
        listening.listen()

    threading.Thread(target=late).start()
    assert do("wait_for_port", port=port).success
    listening.close()


def test_addresses(server: int) -> None:
    at = f"http://127.0.0.1:{server}"
    assert do("check_http", url=f"{at}/").data == {"status": 200}
    assert do("check_http", url=f"{at}/", contains="well").success
    missing = do("check_http", url=f"{at}/", contains="ill")
    assert missing.stderr == f"{at}/: 200 without 'ill', not 200"
    assert do("check_http", url=f"{at}/down").stderr == f"{at}/down: 503, not 200"
    assert do("check_http", url=f"{at}/down", expect_status=503).success
    assert do("wait_for_http", url=f"{at}/down", seconds=0.6).timed_out
    assert (judge("http_ok", url=f"{at}/"), judge("http_ok", url=f"{at}/down")) == (True, False)


def test_names() -> None:
    assert do("resolve_dns", name="localhost").success
    gone = do("resolve_dns", name="no-such-name.invalid")
    assert (gone.success, "name or service not known" in gone.stderr) == (False, True)
    assert (judge("dns_resolves", name="localhost"), judge("dns_resolves", name="no-such-name.invalid")) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("platform", "argv"),
    [
        ("linux", "resolvectl flush-caches"),
        ("darwin", "sh -c dscacheutil -flushcache && killall -HUP mDNSResponder"),
        ("windows", "ipconfig /flushdns"),
    ],
)
def test_the_cache_of_names_is_flushed_by_what_the_platform_has(platform: str, argv: str) -> None:
    class Noted(LocalHost):
        """Notes what it is asked."""

        asked: list[str] = []

        def run(self, argv: Any, **_: Any) -> Completed:
            self.asked.append(" ".join(argv))
            return Completed(0)

    host = Noted()
    host.platform, host.asked = platform, []
    assert do("flush_dns_cache", host=host).success
    assert host.asked == [argv]


def test_commands() -> None:
    assert do("run_command", argv=["echo", "a b"]).stdout == "a b\n"
    assert do("run_command", argv=["cat"], stdin="given").stdout == "given"
    assert do("run_command", argv=["sh", "-c", "exit 3"], success_exit_codes=[0, 3]).success
    assert do("run_command", argv=["no-such-program"]).exit_code == 127
    late = do("run_command", argv=["sleep", "20"], seconds=0.4)
    assert (late.success, late.timed_out, late.stderr) == (False, True, "timed out")
    assert (judge("command_succeeds", argv=["true"]), judge("command_succeeds", argv=["false"])) == (True, False)


def test_scripts_take_values_from_the_environment_only() -> None:
    assert (
        do("run_script", shell="sh", script='echo "$X"', env={"X": "$(rm -rf /); `x`"}).stdout == "$(rm -rf /); `x`\n"
    )
    assert not do("run_script", shell="sh", script="false; echo on").success, "a script ends at its first failure"
    assert not do("run_script", shell="bash", script="false | true; echo on").success
    assert do("run_script", shell="python", script="print(6 * 7)").stdout == "42\n"


def test_a_check_that_takes_too_long_is_unknown() -> None:
    class Late(LocalHost):
        """Every command takes too long."""

        def run(self, argv: Any, **_: Any) -> Completed:
            return Completed(143, timed_out=True)

    check = catalogue().checks["command_succeeds"]
    p = check.Params.model_validate_json('{"argv": ["x"]}')
    state = merged({}, check.probe(p).read(Late(), 5))
    assert state["commands"]["x"] == UNKNOWN
    assert check.holds(p, state) is None


def wait_action(wanted: float, budget: float) -> Outcome:
    action = catalogue().actions["wait"]
    return action.run(action.Params(seconds=wanted), LocalHost(), Deadline.after(budget))


def test_flow() -> None:
    assert wait_action(0.1, 5).success
    at = time.monotonic()
    assert wait_action(60, 0.3).timed_out, "a wait that does not fit into its time is a failure"
    assert time.monotonic() - at < 5
    assert do("assert", that=True).success
    assert do("assert", that=False, message="no").stderr == "no"
    called = do("escalate", message="help")
    assert (called.success, called.manual) == (True, True)
