"""A small web server that keeps a pid file, as daemons do: it will not start while another one seems to run."""

from __future__ import annotations

import http.server
import os
import signal
import sys
from pathlib import Path
from types import FrameType

port, pid_file = int(sys.argv[1]), Path(sys.argv[2])
if pid_file.exists():
    sys.exit(f"web: pidfile {pid_file} exists (pid {pid_file.read_text().strip()}); is another instance running?")
pid_file.write_text(f"{os.getpid()}\n")


def leave(_signal: int, _frame: FrameType | None) -> None:
    pid_file.unlink(missing_ok=True)
    os._exit(0)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


signal.signal(signal.SIGTERM, leave)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Page).serve_forever()
