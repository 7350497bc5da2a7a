"""A small store: answers on a port, and keeps its lock in a runtime directory that a reboot may take away."""

from __future__ import annotations

import os
import socketserver
import sys
from pathlib import Path

port, runtime = int(sys.argv[1]), Path(sys.argv[2])
(runtime / "db.lock").write_text(f"{os.getpid()}\n")


class Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"ready\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", port), Session).serve_forever()
