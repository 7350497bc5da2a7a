"""A relay: takes over what hosts that may not reach the forge have recorded, and pushes it as one executor.

    POST /v1/results      Authorization: Bearer <token of a client>
    {"results": ["<bytes of a result, as text>", …], "urgent": true}        gzip is understood
    {"kept": ["<blob id>", …], "refused": [{"blob": …, "reason": …}, …]}

`urgent`, which may be left out, asks the relay to push at once. What is told as kept lies in the relay's own spool, on disk; from then on it is the relay's to deliver.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import re
import secrets
import threading
import zlib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.repository.objects import blob_id
from learner.telemetry import parse
from learner.telemetry.spool import Spool

PATH = "/v1/results"
MAX_BODY_BYTES = 32 << 20
"""Of one request, also after it was unpacked."""
_AT_ONCE = 16
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest(token: str) -> str:
    """What is written down of a token: 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(file: Path) -> dict[str, str]:
    """Digest → client, of a file with lines of `<client_id> <digest>`.

    Raises: `LearnerError` when the file can't be read or a line is another.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as e:
        raise LearnerError(f"{file}: {e.strerror}", "make one with `learner telemetry relay --new-token CLIENT`") from e
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 2 or not _CLIENT.fullmatch(words[0]) or not _DIGEST.fullmatch(words[1]):
            raise LearnerError(
                f"{file}:{number}: not `<client_id> <digest>`",
                "take the line out, and make a token with `learner telemetry relay --new-token CLIENT`",
            )
        found[words[1]] = words[0]
    return found


def new_token(file: Path, client_id: str) -> str:
    """A token for a client, whose digest now stands in `file`.

    Raises: `LearnerError` when no client is called so, or the file can't be written.
    """
    if not _CLIENT.fullmatch(client_id):
        raise LearnerError(f"{client_id!r} is no client_id", "letters, digits, '.', '_' and '-', up to 100")
    token = secrets.token_urlsafe(32)
    try:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{client_id} {digest(token)}\n")
    except OSError as e:
        raise LearnerError(f"{file}: {e.strerror}", "give another --tokens FILE") from e
    return token


class Relay(ThreadingHTTPServer):
    """The server; every client has a spool of its own below `folder`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path, tokens: Mapping[str, str], max_bytes: int) -> None:
        self.spools = {client: Spool(folder / client, max_bytes=max_bytes) for client in sorted(set(tokens.values()))}
        self.tokens = dict(tokens)
        self.slots = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Handler)

    def client(self, header: str) -> str | None:
        """The client whose token stands in an Authorization header."""
        kind, _, token = header.partition(" ")
        given = digest(token.strip())
        found = None
        # every digest is compared, so that the time taken tells nothing
        for known, client in self.tokens.items():
            if hmac.compare_digest(known, given) and kind.lower() == "bearer":
                found = client
        return found

    def take(self, client: str, contents: list[Any], *, urgent: bool = False) -> dict[str, Any]:
        """The answer to one request: what lies on disk now, and what can't."""
        kept: list[str] = []
        refused: list[dict[str, str]] = []
        for content in contents:
            raw = content.encode("utf-8", "replace") if isinstance(content, str) else b""
            found = parse.result(raw)
            if isinstance(found, ExecutionResult) and found.client_id != client:
                found = f"a result of client {found.client_id}, but this token is {client}'s"
            if isinstance(found, str):
                refused.append({"blob": blob_id(raw), "reason": found})
            else:
                self.spools[client].keep(found, raw, urgent=urgent)
                kept.append(blob_id(raw))
        return {"kept": kept, "refused": refused}


class _Handler(BaseHTTPRequestHandler):
    server: Relay
    timeout = 30.0
    protocol_version = "HTTP/1.1"
    server_version = "learner-relay"
    sys_version = ""

    def do_POST(self) -> None:
        if self.path != PATH:
            return self._answer(404, {"error": f"only {PATH} is served here"})
        client = self.server.client(self.headers.get("Authorization", ""))
        if client is None:
            return self._answer(401, {"error": "no token of this relay"})
        if not self.server.slots.acquire(timeout=10):
            return self._answer(503, {"error": "busy; try again"})
        try:
            asked = self._body()
            if isinstance(asked, str):
                return self._answer(400, {"error": asked})
            urgent = asked.get("urgent") is True
            return self._answer(200, self.server.take(client, asked["results"], urgent=urgent))
        except LearnerError as e:
            # the spool is full: the host keeps what it has and comes again
            return self._answer(507, {"error": e.message})
        finally:
            self.server.slots.release()

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/healthz" else 404, {"ok": self.path == "/healthz"})

    def _body(self) -> dict[str, Any] | str:
        """The request, with a list of `results`, or what is wrong with it."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            return "a Content-Length is wanted"
        if not 0 <= length <= MAX_BODY_BYTES:
            return f"more than {MAX_BODY_BYTES} bytes at once"
        raw = self.rfile.read(length)
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
                raw = unpack.decompress(raw, MAX_BODY_BYTES)
                if unpack.unconsumed_tail or not unpack.eof:
                    return f"more than {MAX_BODY_BYTES} bytes at once, or cut short"
            tree = json.loads(raw)
        except (ValueError, zlib.error, RecursionError) as e:
            return f"unreadable: {e}"
        return tree if isinstance(tree, dict) and isinstance(tree.get("results"), list) else 'no {"results": […]}'

    def _answer(self, status: int, document: object) -> None:
        raw = json.dumps(document).encode()
        if status != 200:
            self.close_connection = True  # what is left of the request is not read
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        return None


def packed(contents: list[str], *, urgent: bool = False) -> bytes:
    """The body of a request, for `Content-Encoding: gzip`."""
    asked = {"results": contents} | ({"urgent": True} if urgent else {})
    return gzip.compress(json.dumps(asked).encode(), mtime=0)
