"""The services that benchmarks/faults.py breaks, in a folder of their own: real ones, and two small ones of ours."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

WORKER = """
import http.server, os, signal, sys, urllib.request
held, dependency = [], sys.argv[2] if len(sys.argv) > 2 else None
def spin(*_):
    while True: pass
signal.signal(signal.SIGUSR1, spin)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = 200, b"ok"
        if self.path == "/grow": held.append(bytearray(os.urandom(1) * (96 << 20)))
        if dependency:
            import socket
            try: socket.create_connection(("127.0.0.1", int(dependency)), 1).close()
            except OSError: status, body = 502, b"the store is down"
        self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def status_of(url: str) -> int | None:
    """What an address answers within two seconds; None when it does not."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code
    except OSError:
        return None


@dataclass
class Stage:
    """All services in one folder; `well` puts everything right."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="learner-faults-")))
    intruders: list[subprocess.Popen[bytes]] = field(default_factory=list)
    mounted: list[Path] = field(default_factory=list)
    orphaned: list[int] = field(default_factory=list)
    """Process groups whose leader was killed: what it had started may live on."""

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)
        names = ("nginx", "tls", "redis", "postgres", "worker", "api")
        self.port = dict(zip(names, free_ports(len(names)), strict=True))
        self.is_root = os.geteuid() == 0
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        self.postgres = found[-1].parent if found else None
        self.has = {
            "nginx": shutil.which("nginx", path="/usr/sbin:/usr/bin"),
            "redis": shutil.which("redis-server"),
            "postgres": self.postgres,
        }

    # ---- building

    def __enter__(self) -> Stage:
        try:
            for name in ("www", "redis", "log", "data", "backups"):
                (self.folder / name).mkdir()
            (self.folder / "worker.py").write_text(WORKER)
            if self.postgres:
                self._postgres_cluster()
            self._write_supervisor()
            subprocess.run([self._program("supervisord"), "-c", str(self.config)], check=True, timeout=30)
            self.well()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._free_the_way()
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "d.pid").read_text())
            os.kill(pid, signal.SIGTERM)
            for _ in range(150):
                if not Path(f"/proc/{pid}").exists():
                    break
                time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def config(self) -> Path:
        return self.folder / "supervisord.conf"

    def _program(self, name: str) -> str:
        return str(Path(sys.executable).parent / name)

    def _postgres_cluster(self) -> None:
        data = self.folder / "pg"
        data.mkdir()
        if self.is_root:
            shutil.chown(data, "postgres", "postgres")
        self.as_postgres(str(self.postgres / "initdb") if self.postgres else "", "-D", str(data), "-A", "trust", "-N")
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port['postgres']}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n"
            )
        shutil.copy(data / "postgresql.conf", self.folder / "postgresql.conf.good")

    def as_postgres(self, *argv: str, seconds: float = 60) -> subprocess.CompletedProcess[bytes]:
        drop = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"] if self.is_root else []
        return subprocess.run([*drop, *argv], capture_output=True, timeout=seconds, cwd="/")

    def _write_supervisor(self) -> None:
        here, python = self.folder, sys.executable
        programs = {
            "worker": f"{python} {here}/worker.py {self.port['worker']}",
            "api": f"{python} {here}/worker.py {self.port['api']} {self.port['redis']}",
        }
        if self.has["nginx"]:
            programs["nginx"] = f"{self.has['nginx']} -c {here}/nginx.conf -e {here}/log/nginx.err -g 'daemon off;'"
        if self.has["redis"]:
            programs["redis"] = f"redis-server {here}/redis.conf"
        if self.postgres:
            programs["postgres"] = f"{self.postgres}/postgres -D {here}/pg"
        text = (
            f"[supervisord]\nlogfile={here}/d.log\npidfile={here}/d.pid\nchildlogdir={here}/log\nsilent=true\n"
            f"[unix_http_server]\nfile={here}/s\n[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{here}/s\n"
        )
        for name, command in programs.items():
            user = "user=postgres\n" if name == "postgres" and self.is_root else ""
            text += (
                f"[program:{name}]\ncommand={command}\nautostart=false\nautorestart=false\nstartsecs=1\nstartretries=0\nstopwaitsecs=5\n"
                f"{'stopsignal=INT' + chr(10) if name == 'postgres' else ''}{user}stdout_logfile={here}/log/{name}.out\nstderr_logfile={here}/log/{name}.log\n"
            )
        self.config.write_text(text)

    # ---- putting right

    def control(self, *words: str) -> str:
        argv = [self._program("supervisorctl"), "-c", str(self.config), *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout

    def _free_the_way(self) -> None:
        for one in self.intruders:
            one.kill()
            one.wait()
        self.intruders.clear()
        for group in self.orphaned:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self.orphaned.clear()
        for path in self.mounted:
            subprocess.run(["umount", "-l", str(path)], capture_output=True)
        self.mounted.clear()

    def well(self) -> None:
        """Everything as it should be, whatever was done before."""
        self._free_the_way()
        for pid in self.pids("worker"):
            os.kill(pid, signal.SIGCONT)
        (self.folder / "redis").mkdir(exist_ok=True)
        (self.folder / "www").mkdir(exist_ok=True)
        (self.folder / "www/index.html").write_text("hello\n")
        self.certificate(days=90)
        self.nginx_conf()
        (self.folder / "nginx.conf.reference").write_text((self.folder / "nginx.conf").read_text())
        (self.folder / "redis.conf").write_text(
            f'bind 127.0.0.1\nport {self.port["redis"]}\ndir {self.folder}/redis\nsave ""\n'
        )
        for name in ("data", "backups"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        (self.folder / "data/file").write_text("worth keeping\n")
        if self.postgres:
            data = self.folder / "pg"
            if self.is_root:
                shutil.chown(data, "postgres", "postgres")
            data.chmod(0o700)
            shutil.copy(self.folder / "postgresql.conf.good", data / "postgresql.conf")
        self.control("restart", "all")

    def broken(self) -> tuple[str, ...]:
        """Services that do not run."""
        return tuple(line.split()[0] for line in self.control("status").splitlines() if "RUNNING" not in line)

    def nginx_conf(self, more: str = "") -> None:
        here = self.folder
        (here / "nginx.conf").write_text(
            f"{'user root;' if self.is_root else ''}\npid {here}/nginx.pid;\nworker_processes 1;\nevents {{}}\nhttp {{\n{more}access_log off;\n"
            + "".join(
                f"{kind}_temp_path {here}/tmp-{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f"server {{ listen 127.0.0.1:{self.port['nginx']}; root {here}/www; location /api/ {{ proxy_pass http://127.0.0.1:{self.port['api']}/; }} }}\n"
            f"server {{ listen 127.0.0.1:{self.port['tls']} ssl; ssl_certificate {here}/cert.pem; ssl_certificate_key {here}/key.pem; root {here}/www; }}\n}}\n"
        )

    def certificate(self, *, days: int) -> None:
        """A certificate that is valid for `days` yet; a negative number has expired."""
        here = str(self.folder)
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
                "-keyout", f"{here}/key.pem", "-out", f"{here}/cert.pem", "-days", str(max(days, 1))]  # fmt: skip
        if days < 0:
            # openssl makes no request's certificate in the past, but one from a certificate: until yesterday.
            subprocess.run(make, capture_output=True, timeout=60, check=True)
            request = [
                "openssl",
                "x509",
                "-x509toreq",
                "-in",
                f"{here}/cert.pem",
                "-signkey",
                f"{here}/key.pem",
                "-out",
                f"{here}/csr.pem",
            ]
            subprocess.run(request, capture_output=True, timeout=60, check=True)
            make = [
                "openssl",
                "x509",
                "-req",
                "-in",
                f"{here}/csr.pem",
                "-signkey",
                f"{here}/key.pem",
                "-out",
                f"{here}/cert.pem",
                "-days",
                "-1",
            ]
        done = subprocess.run(make, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())

    # ---- breaking

    def pids(self, name: str) -> list[int]:
        said = self.control("pid", name).strip()
        return [int(said)] if said.isdigit() and int(said) > 1 else []

    def signal(self, name: str, number: int) -> None:
        for pid in self.pids(name):
            if number == signal.SIGKILL:
                self.orphaned.append(pid)
            os.kill(pid, number)
        time.sleep(0.3)

    def take(self, name: str) -> None:
        """Stop a service and let somebody else listen on its port."""
        self.control("stop", name)
        code = f"import socket,time; s=socket.socket(); s.setsockopt(1,2,1); s.bind(('127.0.0.1',{self.port[name]})); s.listen(); time.sleep(600)"
        self.intruders.append(subprocess.Popen([sys.executable, "-c", code]))
        for _ in range(100):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port[name])) == 0:
                    return
            time.sleep(0.05)

    def mount(self, options: str) -> Path:
        path = self.folder / "small"
        path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
        self.mounted.append(path)
        (path / "log").mkdir()
        return path

    def fill(self, path: Path, name: str, *, days_old: float = 0) -> None:
        """Fill a file system with one file."""
        with contextlib.suppress(OSError), (path / name).open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 65536)
        then = time.time() - days_old * 86_400
        os.utime(path / name, (then, then))

    # ---- the truth

    def serves(self, name: str, path: str = "/") -> bool:
        return status_of(f"http://127.0.0.1:{self.port[name]}{path}") == 200

    def redis_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port["redis"]), 2) as one:
                one.sendall(b"PING\r\n")
                return one.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def postgres_answers(self) -> bool:
        argv = [
            "psql",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port["postgres"]),
            "-U",
            "postgres",
            "-Atc",
            "select 1",
            "postgres",
        ]
        try:
            return self.as_postgres(*argv, seconds=5).stdout.strip() == b"1"
        except subprocess.TimeoutExpired:
            return False

    def served_days_left(self) -> float:
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port["tls"]), 3) as plain,
            context.wrap_socket(plain) as wrapped,
        ):
            der = wrapped.getpeercert(True) or b""
        said = subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", "-enddate"], input=der, capture_output=True
        ).stdout.decode()
        return (ssl.cert_time_to_seconds(said.strip().partition("=")[2]) - time.time()) / 86_400
