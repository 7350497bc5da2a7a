"""A small daemon to break: HTTP or HTTPS on a port, and signals that make it fail as real ones do.

USR1 closes its port while it lives on, USR2 makes it hold 120 MiB more, HUP makes it read its certificate again.
A file `<this file>.wrong` makes it answer 503; one called `<this file>.dead` keeps it from starting.
"""

from __future__ import annotations

import http.server
import os
import signal
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

port, here = int(sys.argv[1]), Path(sys.argv[0])
certificate = sys.argv[2] if len(sys.argv) > 2 else None
held: list[bytearray] = []
if here.with_suffix(".dead").exists():
    sys.exit(f"{here.stem}: configuration error, giving up")


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if here.with_suffix(".wrong").exists() else 200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGHUP, lambda *_: context.load_cert_chain(certificate))


def close_port(*_: Any) -> None:
    threading.Thread(target=lambda: (server.shutdown(), server.server_close())).start()


signal.signal(signal.SIGUSR1, close_port)
signal.signal(signal.SIGUSR2, lambda *_: held.append(bytearray(os.urandom(1) * (120 << 20))))
threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    time.sleep(60)
