"""The runbooks about the host itself. Files, archives, certificates, TLS and DNS answers are real.

What a test may not have is stood in for, by a program of the same name on the PATH: certbot (it needs a public
authority; this one signs by itself), getent (it asks a real DNS server on a port of its own, which resolv.conf can't
say) and chronyc (nothing here may set the machine's clock; its answers have chronyc's form). A full disk is a small
tmpfs where tests may mount one, else only the removal is shown.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runbooks.host import BrokenHost, said, steps


def program(host: BrokenHost, name: str, text: str) -> Path:
    path = host.folder / "bin" / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture(autouse=True)
def _stand_ins_first(host: BrokenHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{host.folder}/bin{os.pathsep}{os.environ['PATH']}")


# ------------------------------------------------------------------------------------------ disk


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[bool]:
    """A file system of 20 MiB at `at`; False where none may be mounted."""
    at.mkdir(exist_ok=True)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = [*sudo, "mount", "-t", "tmpfs", "-o", "size=20m,mode=0777", "learner-test", str(at)]
    mounted = bool(shutil.which(mount[0])) and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run([*sudo, "umount", str(at)], check=True)


def test_a_full_disk_loses_old_rotated_logs_only(host: BrokenHost) -> None:
    logs = host.folder / "data/logs"
    with small_disk(logs) as mounted:
        old = time.time() - 30 * 86_400
        for name, mib in (("app.log.1", 6), ("app.log-20260101.gz", 6), ("app.log", 4), ("fresh.log.1", 3)):
            (logs / name).write_bytes(os.urandom(mib << 20))
            if name != "fresh.log.1":
                os.utime(logs / name, (old, old))
        # Where no disk could be mounted the threshold is one that any disk is over, and the verification says no.
        asked = {"mount": str(logs), "logs": str(logs), "below_percent": 80 if mounted else 1}
        result = host.respond("RB-LIN-DISK-001", "disk_full", **asked)
        assert sorted(path.name for path in logs.iterdir()) == ["app.log", "fresh.log.1"], said(result)
        assert result.verification_passed is mounted, said(result)
        if mounted:
            assert result.state_before.disk["mounts"][str(logs)]["usage_percent"] >= 90  # type: ignore[index,call-overload]
            again = host.respond("RB-LIN-DISK-001", "disk_full", **asked)
            assert again.verified, said(again)
            assert [name for name, how in steps(again).items() if how == "done"] == ["usage"]


# ----------------------------------------------------------------------------------- certificate


def test_an_expiring_certificate_is_renewed_and_served(host: BrokenHost) -> None:
    pem = host.folder / "data/web.pem"
    issue = program(
        host,
        "certbot",
        "#!/bin/sh\nset -eu\n"
        f'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "${{DAYS:-90}}" -subj "/CN=$3" '
        f'-keyout "{pem}.key" -out "{pem}.crt" 2>/dev/null\ncat "{pem}.key" "{pem}.crt" >"{pem}"\n',
    )
    subprocess.run([str(issue), "renew", "--cert-name", "web.test"], env={**os.environ, "DAYS": "3"}, check=True)
    port = host.add("tls", certificate=pem)
    asked = {"name": "web.test", "certificate": str(pem), "service": "tls", "port": port}
    result = host.respond("RB-LIN-CERT-001", "cert_expiry", **asked)
    assert result.verified, said(result)
    assert result.state_before.certificates[str(pem)] == {"days_left": 2}
    assert steps(result) == {"file_before": "failed", "renew": "done", "shown_before": "failed", "reload": "done"}
    again = host.respond("RB-LIN-CERT-001", "cert_expiry", **asked)
    assert again.verified, said(again)
    assert steps(again) == {"file_before": "done", "renew": "skipped", "shown_before": "done", "reload": "skipped"}


# ------------------------------------------------------------------------------------------- DNS

GETENT = """#!{python}
import os, re, socket, struct, sys
nameserver = re.search(r"(?m)^nameserver (\\S+)", open(os.environ["RESOLV"]).read())[1]
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[2].split("."))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.settimeout(1)
    asked.connect((nameserver, int(os.environ["DNS_PORT"])))
    try:
        asked.send(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + b"\\0\\0\\1\\0\\1")
        print(".".join(map(str, asked.recv(512)[-4:])), "STREAM", sys.argv[2])
    except OSError:
        sys.exit(2)
"""


@pytest.fixture
def resolver(host: BrokenHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A resolv.conf whose first nameserver is dead, and a DNS server on 127.0.0.1."""
    config = host.folder / "etc/resolv.conf"
    config.write_text("search test\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n")
    program(host, "getent", GETENT.replace("{python}", sys.executable))
    served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    served.bind(("127.0.0.1", 0))
    monkeypatch.setenv("RESOLV", str(config))
    monkeypatch.setenv("DNS_PORT", str(served.getsockname()[1]))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                question, sender = served.recvfrom(512)
                answer = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:]
                served.sendto(answer + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7", sender)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield config
    finally:
        served.shutdown(socket.SHUT_RDWR) if sys.platform == "win32" else served.close()
        (host.folder / "bin/getent").unlink()


def test_a_dead_nameserver_gives_way_to_one_that_answers(host: BrokenHost, resolver: Path) -> None:
    asked = {"name": "db.test", "nameserver": "127.0.0.1", "resolver_config": str(resolver)}
    result = host.respond("RB-LIN-DNS-001", "dns_failure", **asked)
    assert result.verified, said(result)
    assert resolver.read_text() == "search test\nnameserver 127.0.0.1\nnameserver 127.0.0.3\n"
    again = host.respond("RB-LIN-DNS-001", "dns_failure", **asked)
    assert again.verified, said(again)
    assert [name for name, how in steps(again).items() if how == "done"] == ["ask"]


def test_a_fallback_that_does_not_answer_is_taken_back(host: BrokenHost, resolver: Path) -> None:
    before = resolver.read_text()
    result = host.respond(
        "RB-LIN-DNS-001", "dns_failure", name="db.test", nameserver="127.0.0.4", resolver_config=str(resolver)
    )
    assert result.failed
    assert steps(result)["put_back"] == "done", said(result)
    assert resolver.read_text() == before


def test_a_resolver_config_that_is_a_link_is_left_to_a_person(host: BrokenHost, resolver: Path) -> None:
    link = host.folder / "etc/linked.conf"
    link.symlink_to(resolver)
    before = resolver.read_text()
    result = host.respond(
        "RB-LIN-DNS-001", "dns_failure", name="db.test", nameserver="127.0.0.1", resolver_config=str(link)
    )
    assert result.failed
    assert result.manual_intervention_needed
    assert link.is_symlink()
    assert resolver.read_text() == before


# ------------------------------------------------------------------------------------------ time


def test_a_clock_that_is_off_is_stepped(host: BrokenHost) -> None:
    offset = host.folder / "data/offset"
    offset.write_text("93.5")
    program(
        host,
        "chronyc",
        f'#!/bin/sh\ncase "$*" in\n*tracking) echo "System time     : $(cat {offset}) seconds slow of NTP time"\n'
        f'  echo "Leap status     : Normal" ;;\nmakestep) echo 0.000012 >{offset}; echo "200 OK" ;;\nesac\n',
    )
    result = host.respond("RB-LIN-TIME-001", "time_drift")
    assert result.verified, said(result)
    assert result.state_before.time["offset_seconds"] == -93.5
    assert steps(result) == {"offset": "done", "set": "done"}
    again = host.respond("RB-LIN-TIME-001", "time_drift")
    assert again.verified
    assert steps(again) == {"offset": "done", "set": "skipped"}


# -------------------------------------------------------------------------------- configuration


def test_a_drifted_file_is_put_back_and_its_change_kept(host: BrokenHost) -> None:
    host.add("configured")
    path, reference = host.folder / "data/app.conf", host.folder / "data/app.conf.approved"
    reference.write_text("workers = 4\n")
    path.write_text("workers = 400\n")
    path.chmod(0o640)
    asked = {"path": str(path), "reference": str(reference), "service": "configured"}
    # The daemon has no handler for HUP and would end by it; a reload of one that has none is a fault of its own.
    (host.folder / "etc/configured.ini").write_text(
        (host.folder / "etc/configured.ini").read_text().replace("command=", "command=nohup ")
    )
    host.control("update")
    result = host.respond("RB-LIN-CONFIG-001", "config_drift", **asked)
    assert result.verified, said(result)
    assert path.read_text() == "workers = 4\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "+workers = 4" in result.executed_steps[0].output
    assert Path(f"{path}.learner-backup").read_text() == "workers = 400\n"
    again = host.respond("RB-LIN-CONFIG-001", "config_drift", **asked)
    assert again.verified
    assert [name for name, how in steps(again).items() if how == "done"] == ["difference"]


def test_a_reference_that_its_program_refuses_is_not_left_in_place(host: BrokenHost) -> None:
    path, reference = host.folder / "data/b.conf", host.folder / "data/b.conf.approved"
    reference.write_text("workers = many\n")
    path.write_text("workers = 3\n")
    test = program(
        host, "test-config", '#!/bin/sh\ngrep -Eq "^workers = [0-9]+$" "$1" || { echo "bad number" >&2; exit 1; }\n'
    )
    result = host.respond(
        "RB-LIN-CONFIG-001",
        "config_drift",
        path=str(path),
        reference=str(reference),
        service="configured",
        test_program=str(test),
    )
    assert result.failed
    assert "bad number" in str(result.error_message)
    assert steps(result)["undo"] == "done", said(result)
    assert path.read_text() == "workers = 3\n"


# ---------------------------------------------------------------------------------------- backup


def test_a_stale_backup_is_made_anew_and_old_ones_go(host: BrokenHost) -> None:
    source, target = host.folder / "data/app", host.folder / "data/backups"
    source.mkdir()
    target.mkdir()
    (source / "orders.db").write_bytes(os.urandom(1 << 16))
    for days in (3, 4, 5):
        path = target / f"backup-2026010{days}T000000Z.tar.gz"
        path.write_bytes(b"old")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    asked = {"source": str(source), "target": str(target), "keep": 2}
    result = host.respond("RB-LIN-BACKUP-001", "backup_failure", **asked)
    assert result.verified, said(result)
    kept = sorted(path.name for path in target.iterdir())
    assert len(kept) == 2
    listed = subprocess.run(["tar", "-tzf", str(target / kept[-1])], capture_output=True, text=True, check=True)
    assert "./orders.db" in listed.stdout
    again = host.respond("RB-LIN-BACKUP-001", "backup_failure", **asked)
    assert again.verified
    assert steps(again)["archive"] == "skipped"
    assert sorted(path.name for path in target.iterdir()) == kept


def test_a_backup_that_can_not_be_written_leaves_the_old_ones_alone(host: BrokenHost) -> None:
    target = host.folder / "data/old-backups"
    target.mkdir()
    old = target / "backup-20260101T000000Z.tar.gz"
    old.write_bytes(b"old")
    os.utime(old, (0, 0))
    result = host.respond(
        "RB-LIN-BACKUP-001", "backup_failure", source=str(host.folder / "nothing-here"), target=str(target), keep=1
    )
    assert result.failed
    assert [path.name for path in target.iterdir()] == [old.name]
