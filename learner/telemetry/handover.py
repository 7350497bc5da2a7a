"""Handing a spool over to a relay, for hosts that may not reach the forge."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from learner.errors import LearnerError
from learner.telemetry import relay
from learner.telemetry.entry import Entry
from learner.telemetry.inbox import Pushed
from learner.telemetry.spool import Spool

SCHEME = "relay+"
_MOST_BYTES = 4 << 20
"""Of results in one request."""


def push(
    spool: Spool,
    address: str,
    *,
    token: str,
    batch: int = 200,
    urgent: bool = False,
    timeout_seconds: float = 60.0,
) -> Pushed:
    """What was sent; all of it is acknowledged by the relay's answer, and leaves the spool with it.

    Something `urgent` among it makes the relay push at once, too.

    Raises: `LearnerError` when the relay can't be reached or refuses; everything it had not kept stays.
    """
    sent = 0
    entries = spool.pending()
    while entries:
        taken, contents = _some(spool, entries, batch)
        entries = entries[len(taken) :]
        if not contents:
            continue
        answer = _post(address, relay.packed(contents, urgent=urgent), token, timeout_seconds)
        kept = set(answer.get("kept", ()))
        refused = {one["blob"]: one["reason"] for one in answer.get("refused", ())}
        sent += spool.drop([entry for entry in taken if entry.blob in kept])
        for entry in taken:
            if entry.blob in refused:
                spool.refuse(entry, f"refused by the relay: {refused[entry.blob]}")
    return Pushed(sent, sent, len(spool.pending()))


def _some(spool: Spool, entries: list[Entry], batch: int) -> tuple[list[Entry], list[str]]:
    """The first entries, as many as one request may have, and their contents."""
    contents: list[str] = []
    size = 0
    for count, entry in enumerate(entries[:batch], 1):
        if (content := spool.whole(entry)) is not None:
            contents.append(content.decode())
            size += len(content)
        if size >= _MOST_BYTES:
            return entries[:count], contents
    return entries[:batch], contents


def _post(address: str, body: bytes, token: str, timeout_seconds: float) -> dict[str, Any]:
    url = urlsplit(address.removeprefix(SCHEME))
    if url.scheme not in ("http", "https") or not url.hostname:
        raise LearnerError(f"{address}: no address of a relay", "write it as relay+https://host:port")
    if url.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            url.hostname, url.port, timeout=timeout_seconds, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_seconds)
    headers = {"Authorization": f"Bearer {token}", "Content-Encoding": "gzip", "Content-Type": "application/json"}
    try:
        connection.request("POST", url.path.rstrip("/") + relay.PATH, body, headers)
        response = connection.getresponse()
        status, raw = response.status, response.read(relay.MAX_BODY_BYTES)
    except (OSError, http.client.HTTPException) as e:
        raise LearnerError(f"relay {url.hostname}: {e}", "is it running? everything recorded so far is kept") from e
    finally:
        connection.close()
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = {}
    if status != 200 or not isinstance(answer, dict):
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        hint = "check the relay's token on this host" if status == 401 else "everything recorded so far is kept"
        raise LearnerError(f"relay {url.hostname}: status {status} {said}".rstrip(), hint)
    return answer
