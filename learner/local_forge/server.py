"""The forge on a port: guards against other hosts and other pages, error bodies, and the thread it runs in."""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import quote

from flask import Flask, Response, jsonify, request
from waitress.server import create_server
from werkzeug.exceptions import HTTPException

from learner.errors import LearnerError
from learner.local_forge.api import branches, commits, contents, git_data, issues, pulls, repository, reviews
from learner.local_forge.forge import Forge
from learner.local_forge.refusal import Refusal
from learner.local_forge.smart_http import git, hooks_folder, write_hooks
from learner.local_forge.web import pages
from learner.local_forge.web.sessions import Sessions

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY = 40 * 1024 * 1024
_ROOMS = (repository, branches, commits, contents, git_data, issues, pulls, reviews)

log = logging.getLogger("learner.local_forge")


def create_app(forge: Forge) -> Flask:
    """The forge as a WSGI application. It answers to loopback names only, whatever it is bound to."""
    app = Flask("learner.local_forge", static_folder=None)
    app.config["FORGE"] = forge
    app.config["SESSIONS"] = Sessions(forge.clock)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = 1024 * 1024
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.before_request(_refuse_other_hosts)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crashed)
    for module in _ROOMS:
        app.register_blueprint(module.room)
    app.register_blueprint(git)
    pages.register(app)
    write_hooks(hooks_folder(forge))
    return app


def _refuse_other_hosts() -> Response | None:
    """A page elsewhere can point a name of its own at 127.0.0.1; its requests then carry that name as Host."""
    port = request.environ["SERVER_PORT"]
    allowed = {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}
    if request.headers.get("Host", "") not in allowed:
        return Response("This server answers to loopback names only.\n", 421, content_type="text/plain")
    return None


def _is_api() -> bool:
    return request.path.startswith("/api/")


def _refused(no: Refusal) -> Response:
    if not _is_api():
        return pages.refused(no)
    answer = jsonify(no.body())
    answer.status_code = no.status
    if no.status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="GitHub"'
    return answer


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    # GitHub knows no 405 for a route: what it does not have is not found.
    return _refused(Refusal(404, "Not Found") if status == 405 else Refusal(status, error.name))


def _crashed(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _refused(Refusal(500, "Server Error"))


def check_loopback(host: str) -> None:
    """Raises: `LearnerError` for an address that other hosts could reach."""
    if host not in LOOPBACK:
        raise LearnerError(f"{host} is not a loopback address", "the local forge serves this host only: use 127.0.0.1")


def _bound(host: str, port: int) -> socket.socket:
    """A socket on the port. Raises: `LearnerError` when it is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere this option would let two forges share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as e:
        listener.close()
        raise LearnerError(
            f"can't serve on {host}:{port}: {e.strerror}", "is another forge running? use another --port"
        ) from e
    return listener


class RunningForge:
    """A forge that serves, in a thread of its own. Close it, or use it as a context manager."""

    def __init__(self, forge: Forge, host: str, port: int) -> None:
        check_loopback(host)
        host = "127.0.0.1" if host == "localhost" else host  # one socket, one port
        self.forge = forge
        self.app = create_app(forge)
        self._server = create_server(
            self.app,
            sockets=[_bound(host, port)],
            threads=8,
            ident="learner",
            clear_untrusted_proxy_headers=True,
            max_request_body_size=8 * 1024**3,
            channel_timeout=300,
            asyncore_use_poll=True,
        )
        self.port = int(self._server.effective_port)
        self.url = f"http://{'[::1]' if host == '::1' else host}:{self.port}"
        self.api_url = f"{self.url}/api/v3"
        self._thread = threading.Thread(target=self._run, name="local-forge", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._server.run()
        except OSError:
            log.debug("the server's socket was closed")

    def git_url(self, token: str) -> str:
        """An address that git fetches from and pushes to, with the token in it."""
        host = self.url.removeprefix("http://")
        return f"http://x-access-token:{quote(token, safe='')}@{host}/{self.forge.full_name}.git"

    def login_url(self, login: str) -> str:
        """A link that signs this user in, once, within the next hour."""
        user = self.forge.users.named(login)
        if user is None:
            raise LearnerError(f"no user {login!r}", "use a login of the users file")
        sessions: Sessions = self.app.config["SESSIONS"]
        return f"{self.url}/login?ticket={sessions.ticket(user.login)}"

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """True when the server still runs after this time; returns at once when it has ended."""
        self._thread.join(timeout_seconds)
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving; running requests get to end."""
        self._server.task_dispatcher.shutdown()
        # The loop ends when nothing is left in it; connections that clients keep open would stay for minutes.
        if self._thread.is_alive():  # else the pipe that would wake it is closed, and its number may be another's
            with suppress(OSError):
                self._server.trigger.pull_trigger(self._end)
        self._thread.join(5)
        self.forge.close()

    def _end(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.close()

    def __enter__(self) -> RunningForge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(forge: Forge, host: str = "127.0.0.1", port: int = 0) -> RunningForge:
    """The forge, serving on a loopback port (0: any free one).

    Raises: `LearnerError` for another address, or a port that is taken.
    """
    return RunningForge(forge, host, port)
