"""A small API that is nothing without its store: no store, no start."""

from __future__ import annotations

import http.server
import socket
import sys

port, store = int(sys.argv[1]), int(sys.argv[2])
try:
    with socket.create_connection(("127.0.0.1", store), timeout=2) as session:
        session.recv(16)
except OSError as e:
    sys.exit(f"api: could not connect to backend 127.0.0.1:{store}: {e.strerror or e}")


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}\n')

    def log_message(self, format: str, *args: object) -> None:
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Page).serve_forever()
