"""Stands between the client and the model's server, so that the model's own replies come back as worse endpoints give them."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Manner = Callable[[dict[str, Any], int], dict[str, Any] | None]
"""What becomes of the request with a number; None means that the endpoint does not know this way of asking."""
LONGEST_REPLY = 250
"""Tokens: so small a model seldom knows when to stop."""


def stuttering(request: dict[str, Any], number: int) -> dict[str, Any] | None:
    """The first two replies break off; schemas and plain words are the only ways of asking."""
    if "tools" in request or request.get("response_format", {}).get("type") == "json_object":
        return None
    return request | {"max_tokens": 30 if number < 2 else LONGEST_REPLY}


def wordy(request: dict[str, Any], number: int) -> dict[str, Any] | None:
    """No grammar: the model answers in plain words, whatever it was asked for."""
    if "response_format" in request or "tools" in request:
        return None
    return request | {"max_tokens": 120, "seed": number}


def feverish(request: dict[str, Any], number: int) -> dict[str, Any]:
    """The grammar holds, what is said within it is thrown by dice."""
    return request | {"max_tokens": LONGEST_REPLY, "temperature": 1.5, "seed": number}


@contextmanager
def relay(behind: str, manner: Manner) -> Iterator[str]:
    """The address of an endpoint that asks `behind` in this manner."""

    class Relay(BaseHTTPRequestHandler):
        asked = 0

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            changed = manner(request, Relay.asked)
            if changed is None:
                self._answer(400, b'{"error": {"message": "this way of asking is not supported"}}')
                return
            Relay.asked += 1
            asking = urllib.request.Request(
                behind + self.path.removeprefix("/v1"),
                json.dumps(changed).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(asking, timeout=600) as reply:
                self._answer(reply.status, reply.read())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
