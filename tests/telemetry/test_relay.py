from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from learner.errors import LearnerError
from learner.telemetry import handover, inbox, relay
from learner.telemetry.parse import encoded
from learner.telemetry.spool import Spool
from tests.telemetry.conftest import NOW, WHO, World, numbered

TOKENS = {relay.digest("secret-a"): "acme", relay.digest("secret-b"): "beta"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[relay.Relay]:
    server = relay.Relay(("127.0.0.1", 0), tmp_path / "relay-spools", TOKENS, 1 << 20)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def address(server: relay.Relay) -> str:
    return f"relay+http://127.0.0.1:{server.server_address[1]}"


def test_hosts_hand_over_and_the_relay_pushes_for_them(world: World, server: relay.Relay) -> None:
    for host in ("web-1", "web-2"):
        spool = world.spool(host)
        for number in range(3):
            spool.add(numbered(number + 10 * int(host[-1]), hostname=host))
        pushed = handover.push(spool, address(server), token="secret-a", batch=2)
        assert pushed == inbox.Pushed(sent=3, acknowledged=3, remaining=0)
    assert len(server.spools["acme"].pending()) == 6
    inbox.push(
        server.spools["acme"],
        world.clone("relay"),
        "origin",
        client_id="acme",
        executor_id="relay",
        author=WHO,
        now=NOW,
    )
    assert world.fold().results == 6
    assert world.files()[numbered(11, hostname="web-1").path] == encoded(numbered(11, hostname="web-1"))


def test_the_same_twice_is_one(world: World, server: relay.Relay) -> None:
    for _ in range(2):
        world.spool("web-1").add(numbered(1))
        handover.push(world.spool("web-1"), address(server), token="secret-a")
    assert len(server.spools["acme"].pending()) == 1


def test_what_the_relay_refuses_is_set_aside_here_with_its_reason(world: World, server: relay.Relay) -> None:
    spool = world.spool("web-1")
    spool.add(numbered(1, client_id="beta"))
    spool.add(numbered(2))
    assert handover.push(spool, address(server), token="secret-a").sent == 1
    assert "client beta, but this token is acme's" in spool.quarantined()[0].reason
    assert spool.pending() == []


def test_a_wrong_token_and_no_relay_keep_everything(world: World, server: relay.Relay) -> None:
    spool = world.spool("web-1")
    spool.add(numbered(1))
    with pytest.raises(LearnerError, match="401"):
        handover.push(spool, address(server), token="guess")
    with pytest.raises(LearnerError, match="relay 127"):
        handover.push(spool, "relay+http://127.0.0.1:1", token="secret-a")
    with pytest.raises(LearnerError, match="no address"):
        handover.push(spool, "relay+ftp://x", token="secret-a")
    assert len(spool.pending()) == 1


def test_a_full_relay_leaves_the_rest_with_the_host(world: World, server: relay.Relay) -> None:
    server.spools["acme"] = Spool(world.path / "small", max_bytes=20_000)
    spool = world.spool("web-1")
    for number in range(60):
        spool.add(numbered(number, notes=f"{number}" * 200))
    with pytest.raises(LearnerError, match="507"):
        handover.push(spool, address(server), token="secret-a", batch=5)
    kept = {entry.execution_id for entry in server.spools["acme"].pending()}
    left = {entry.execution_id for entry in spool.pending()}
    assert len(kept | left) == 60


def test_what_is_urgent_on_the_host_is_urgent_on_the_relay(world: World, server: relay.Relay) -> None:
    from learner.cli import sending
    from learner.settings import HostSettings

    settings = HostSettings(
        client_id="acme", executor_id="web-1", repository=str(world.path), telemetry_remote=address(server)
    )
    spool = world.spool("web-1")
    spool.add(numbered(1))
    handover.push(spool, address(server), token="secret-a")
    assert not server.spools["acme"].take_urgent()
    spool.add(numbered(2), urgent=True)
    with pytest.raises(LearnerError, match="401"):
        sending.send(settings, spool)  # the environment holds no token
    assert spool.take_urgent(), "it is as urgent after a push that failed"
    handover.push(spool, address(server), token="secret-a", urgent=True)
    assert server.spools["acme"].take_urgent()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "somewhere"], "no address and port"),
        (["--listen", "127.0.0.1:99999"], "no address and port"),
        (["--listen", "taken"], "can't listen on"),
        (["--cert", "none.pem", "--listen", "127.0.0.1:0"], "--cert none.pem: No such file"),
        (["--new-token", "two words"], "is no client_id"),
        (["--new-token", "../up"], "is no client_id"),
        (["--tokens", "empty"], "empty holds no token"),
        (["--tokens", "hostile"], "hostile:1"),
    ],
)
def test_a_relay_that_cant_start_says_why(
    world: World, server: relay.Relay, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    from tests.telemetry.test_cli import run

    monkeypatch.chdir(world.path)
    (world.path / "host.yml").write_text("client_id: acme\nexecutor_id: relay\nrepository: .\nspool: spools\n")
    (world.path / "empty").write_text("# nobody yet\n")
    (world.path / "hostile").write_text(f"../../up {relay.digest('x')}\n")
    assert run("relay", "--tokens", "tokens", "--new-token", "acme").exit_code == 0
    given = [f"127.0.0.1:{server.server_address[1]}" if one == "taken" else one for one in options]
    tokens = [] if "--tokens" in given else ["--tokens", "tokens"]
    ended = run("relay", "--host-config", "host.yml", *tokens, *given)
    assert isinstance(ended.exception, LearnerError)
    assert words in ended.exception.message


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"results": 1}', {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"\x1f\x8b junk", {"Content-Encoding": "gzip"}, 400),
        (b'{"results": [1, "{"]}', {}, 200),
        (b"", {"Content-Length": "99999999999"}, 400),
        (b"", {"Content-Length": "-1"}, 400),
    ],
)
def test_what_is_no_request_gets_an_answer(
    server: relay.Relay, body: bytes, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request("POST", relay.PATH, body, {"Authorization": "Bearer secret-a"} | headers)
    response = connection.getresponse()
    assert response.status == status
    document = json.loads(response.read())
    if status == 200:
        assert len(document["refused"]) == 2
    connection.close()


def test_a_bomb_is_not_unpacked(server: relay.Relay) -> None:
    import gzip

    body = gzip.compress(b'{"results": ["' + b" " * (64 << 20) + b'"]}')
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request("POST", relay.PATH, body, {"Authorization": "Bearer secret-a", "Content-Encoding": "gzip"})
    assert connection.getresponse().status == 400
    connection.close()


def test_tokens_are_kept_as_digests(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who\n\nacme {relay.digest('x')}\n")
    assert relay.read_tokens(file) == {relay.digest("x"): "acme"}
    file.write_text("acme x\n")
    with pytest.raises(LearnerError, match="tokens:1"):
        relay.read_tokens(file)
    with pytest.raises(LearnerError, match="No such file"):
        relay.read_tokens(tmp_path / "none")
