"""Serving Git over HTTP: one run of `git http-backend`, git's own CGI program, for one request.

Source: git-http-backend(1).
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from learner.errors import GitError
from learner.repository.git import environment

_CHUNK = 64 * 1024


@dataclass(frozen=True)
class BackendAnswer:
    """What the CGI program answered: an HTTP status line, headers, and the body as it comes."""

    status: str
    headers: list[tuple[str, str]]
    body: Iterator[bytes]


def http_backend(
    repository: Path,
    service_path: str,
    *,
    method: str,
    query: str,
    content_type: str,
    content_encoding: str,
    protocol: str,
    remote_user: str,
    body: IO[bytes],
    config: Mapping[str, str],
    env: Mapping[str, str],
) -> BackendAnswer:
    """Git's answer to one smart-HTTP request on a bare repository.

    `service_path` is what follows the repository's name (`/info/refs`, `/git-upload-pack`, `/git-receive-pack`).
    The request's body is streamed in by a thread while the answer is streamed out, so that neither side waits
    for the other. `config` is given to git and to what it starts; `env` reaches the hooks.
    """
    settings = {"GIT_CONFIG_COUNT": str(len(config))}
    for n, (key, value) in enumerate(config.items()):
        settings |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
    cgi = {
        "GIT_PROJECT_ROOT": str(repository.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.name}{service_path}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": content_type,
        "HTTP_CONTENT_ENCODING": content_encoding,
        "GIT_PROTOCOL": protocol,
        "REMOTE_USER": remote_user,
        "REMOTE_ADDR": "127.0.0.1",
    }
    try:
        process = subprocess.Popen(
            ["git", "http-backend"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment({**cgi, **settings, **env}),
        )
    except FileNotFoundError as e:
        raise GitError("git is not installed", "install git 2.38 or newer") from e
    assert process.stdin is not None
    assert process.stdout is not None
    feeder = threading.Thread(target=_feed, args=(body, process.stdin), daemon=True)
    feeder.start()
    status, headers = _head(process.stdout)
    return BackendAnswer(status, headers, _rest(process, process.stdout, feeder))


def _feed(source: IO[bytes], pipe: IO[bytes]) -> None:
    try:
        while chunk := source.read(_CHUNK):
            pipe.write(chunk)
    except (BrokenPipeError, OSError, ValueError):
        pass  # git has read all it wanted, or the client went away: its answer says which
    finally:
        with suppress(BrokenPipeError):
            pipe.close()


def _head(stream: IO[bytes]) -> tuple[str, list[tuple[str, str]]]:
    status, headers = "200 OK", []
    seen = False
    while line := stream.readline().strip():
        seen = True
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "status":
            status = value.strip()
        else:
            headers.append((name, value.strip()))
    return (status, headers) if seen else ("500 Internal Server Error", [("Content-Type", "text/plain")])


def _rest(process: subprocess.Popen[bytes], stream: IO[bytes], feeder: threading.Thread) -> Iterator[bytes]:
    ended = False
    try:
        while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]
            yield chunk
        ended = True
    finally:
        stream.close()
        if not ended:
            process.terminate()  # the client went away
        process.wait()
        feeder.join(timeout=5)
