"""Certificates: made by the real openssl, on disk and behind a real TLS server on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from learner.actions.base import UNKNOWN
from learner.actions.certificate import (
    CertificateParams,
    CertificateProbe,
    CertificateValid,
    CheckCertificate,
    RenewCertificate,
    RenewCertificateParams,
    parse_enddate,
)
from learner.actions.host import Deadline
from learner.executor.hosts.local import LocalHost
from learner.facts import merged

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def soon() -> Deadline:
    return Deadline.after(15)


def openssl(*argv: str) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "key.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    return path


def certificate(key: Path, path: Path, days: int) -> Path:
    """A certificate that ends in `days` days; one that has expired is signed with dates in the past."""
    request, base = path.with_suffix(".csr"), path.parent
    openssl("req", "-new", "-key", str(key), "-subj", "/CN=localhost", "-out", str(request))
    if days > 0:
        openssl(
            "x509", "-req", "-in", str(request), "-signkey", str(key), "-days", str(days), "-out", str(path)
        )  # fmt: skip
        return path
    (base / "index.txt").touch()
    (base / "serial").write_text("01\n")
    (base / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}/index.txt\nserial={base}/serial\nnew_certs_dir={base}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    openssl(
        *("ca", "-batch", "-config", f"{base}/ca.cnf", "-selfsign", "-keyfile", str(key), "-in", str(request)),
        *("-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-notext", "-out", str(path)),
    )
    return path


@pytest.fixture
def server(key: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a TLS server whose certificate is valid for 20 days."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(key, tmp_path / "server.pem", 20), key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    with context.wrap_socket(connection, server_side=True) as tls:
                        tls.recv(1)
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def check(**params: Any) -> Any:
    return CheckCertificate().run(CertificateParams(**params), LocalHost(), soon())


class TestDates:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("notAfter=Nov  2 05:00:00 2027 GMT\n", datetime(2027, 11, 2, 5, tzinfo=UTC)),
            ("notAfter=Dec 31 23:59:59 9999 GMT\n", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
            ("notAfter=Bad time value\n", None),
            ("", None),
        ],
    )
    def test_the_end(self, text: str, expected: datetime | None) -> None:
        assert parse_enddate(text) == expected


class TestFiles:
    def test_long_enough(self, key: Path, tmp_path: Path) -> None:
        path = str(certificate(key, tmp_path / "a b.pem", 90))
        done = check(path=path)
        assert done.success, done.stderr
        assert done.data["days_left"] in (89, 90)
        assert done.facts == {("certificates", path, "days_left"): done.data["days_left"]}

    def test_too_short(self, key: Path, tmp_path: Path) -> None:
        path = str(certificate(key, tmp_path / "a.pem", 10))
        done = check(path=path)
        assert not done.success
        assert "at least 30 are wanted" in done.stderr
        assert done.data["days_left"] in (9, 10)
        assert check(path=path, min_valid_days=5).success

    def test_expired(self, key: Path, tmp_path: Path) -> None:
        done = check(path=str(certificate(key, tmp_path / "a.pem", 0)), min_valid_days=0)
        assert not done.success
        assert done.data["days_left"] < 0

    def test_not_readable(self, tmp_path: Path) -> None:
        missing = check(path=f"{tmp_path}/none.pem")
        assert not missing.success
        assert missing.stderr
        assert "days_left" not in missing.data
        (tmp_path / "nonsense.pem").write_text("nonsense")
        assert not check(path=f"{tmp_path}/nonsense.pem").success
        probe = CertificateProbe(path=f"{tmp_path}/none.pem")
        assert probe.read(LocalHost(), 5.0) == {probe.paths[0]: UNKNOWN}

    def test_without_openssl(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for program in ("sh", "date"):
            os.symlink(shutil.which(program) or "", tmp_path / program)
        monkeypatch.setenv("PATH", str(tmp_path))
        for params in ({"path": "/a.pem"}, {"host": "127.0.0.1"}):
            done = check(**params)
            assert (done.success, done.exit_code) == (False, 127)
            assert "openssl" in done.stderr


class TestServers:
    def test_what_it_shows(self, server: int) -> None:
        done = check(host="127.0.0.1", port=server, min_valid_days=10)
        assert done.success, done.stderr
        assert done.data["days_left"] in (19, 20)
        assert done.facts.keys() == {("certificates", f"127.0.0.1:{server}", "days_left")}
        assert not check(host="localhost", port=server).success

    def test_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            done = check(host="127.0.0.1", port=free.getsockname()[1])
        assert not done.success
        assert "shows no certificate" in done.stderr
        assert "refused" in done.stderr

    def test_no_tls(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as plain:
            port = plain.getsockname()[1]

            def answer() -> None:
                connection, _ = plain.accept()
                with connection:
                    connection.sendall(b"220 hello\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            done = check(host="127.0.0.1", port=port)
            thread.join(10)
        assert not done.success
        assert "shows no certificate" in done.stderr

    def test_the_port_is_443(self) -> None:
        p = CertificateParams(host="example.org")
        assert CertificateValid().probe(p).paths == (("certificates", "example.org:443", "days_left"),)
        assert CheckCertificate().capabilities(p).hosts == {"example.org:443"}


class TestClaims:
    def test_live(self, key: Path, tmp_path: Path) -> None:
        p = CertificateParams(path=str(certificate(key, tmp_path / "a.pem", 60)))
        state = merged({}, CertificateValid().probe(p).read(LocalHost(), 5.0))
        assert CertificateValid().holds(p, state) is True

    def test_by_state(self) -> None:
        p = CertificateParams(path="/a.pem", min_valid_days=14)
        for left, verdict in ((14, True), (13, False), (-1, False), (UNKNOWN, None)):
            assert CertificateValid().holds(p, {"certificates": {"/a.pem": {"days_left": left}}}) is verdict
        assert CertificateValid().holds(p, {}) is None

    @pytest.mark.parametrize("given", [{}, {"path": "/a", "host": "b"}, {"path": "/a", "port": 443}])
    def test_one_of_path_and_host(self, given: dict[str, Any]) -> None:
        done = check(**given)
        assert not done.success
        assert done.stderr.startswith("refused: ")
        p = CertificateParams(**given)
        state = merged({}, CertificateValid().probe(p).read(LocalHost(), 5.0))
        assert CertificateValid().holds(p, state) is None

    @pytest.mark.parametrize("given", [{"host": "-x y"}, {"host": "a b"}, {"path": "a.pem"}, {"host": "a", "port": 0}])
    def test_misfits(self, given: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            CertificateParams(**given)


class TestRenewal:
    def test_certbot(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        certbot = tmp_path / "certbot"
        certbot.write_text('#!/bin/sh\necho "$@"\n')
        certbot.chmod(0o755)
        p = RenewCertificateParams(name="example.org")
        done = RenewCertificate().run(p, LocalHost(), soon())
        assert done.success
        assert done.stdout == "renew --cert-name example.org --non-interactive\n"
        assert done.facts == {("certificates", "/etc/letsencrypt/live/example.org/fullchain.pem", "days_left"): UNKNOWN}
        certbot.write_text("#!/bin/sh\necho 'Some challenges have failed.' >&2; exit 1\n")
        assert RenewCertificate().run(p, LocalHost(), soon()).stderr == "Some challenges have failed.\n"

    def test_without_certbot(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        done = RenewCertificate().run(RenewCertificateParams(name="example.org"), LocalHost(), soon())
        assert (done.exit_code, done.stderr) == (127, "certbot: command not found")

    def test_a_name_is_no_option(self) -> None:
        with pytest.raises(ValidationError):
            RenewCertificateParams(name="--force-renewal")
