"""What the executor costs, each figure beside its floor, measured in the same run.

    python -m benchmarks.executor [--rounds N] [--no-ssh]

Prints a Markdown table. Nothing leaves this machine; the SSH figures need sshd, ssh and ssh-keygen.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from learner.executor import gate
from learner.executor.capture import VITAL_SIGNS, capture
from learner.executor.hosts import OpenHost
from learner.executor.hosts.local import LocalHost
from learner.executor.hosts.ssh import SshHost
from learner.executor.performer import LivePerformer
from learner.flow import run as interpret
from learner.repository.git import Git, Identity, init
from learner.runbook_file import parse
from learner.settings import GateSettings

STEPS = 10
PERSON = Identity("Dana Reviewer", "dana@acme.example")
RUNBOOK = (
    "id: RB-LIN-BENCH-001\nversion: 1\nname: Ten times nothing\ndescription: Ten steps of /bin/true.\nplatform: linux\n"
    "incident_types: [none]\nsteps:\n"
    + "".join(f"  - {{id: s{i}, action: run_command, params: {{argv: [/bin/true]}}}}\n" for i in range(STEPS))
    + "verification:\n  - {id: there, check: file_exists, params: {path: /}}\n"
)


def medians(rounds: int, *works: Callable[[], object]) -> list[float]:
    """The median seconds of each of `works`, after one run that is not counted.

    They take turns within each round, so that whatever else the machine does befalls all of them alike.
    """
    taken: list[list[float]] = [[] for _ in works]
    for counted in range(-1, rounds):
        for i, work in enumerate(works):
            began = time.perf_counter()
            work()
            if counted >= 0:
                taken[i].append(time.perf_counter() - began)
    return [statistics.median(one) for one in taken]


def ten_steps(host: OpenHost) -> Callable[[], object]:
    """Ten steps through the interpreter and the live performer."""
    file = parse(RUNBOOK.encode())

    def work() -> object:
        done = interpret(file.runbook, {}, {}, LivePerformer(host))
        assert done.status.value == "success", done.error_message
        return done

    return work


def ten_times(argv: list[str]) -> Callable[[], object]:
    """The floor: as many bare commands."""
    return lambda: [subprocess.run(argv, capture_output=True, check=True) for _ in range(STEPS)]


@contextlib.contextmanager
def sshd() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Address and options of a private sshd on loopback."""
    folder = Path(tempfile.mkdtemp(prefix="learner-bench-"))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/id.pub\nPidFile none\n"
        "UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    process = subprocess.Popen([program, "-f", str(folder / "config"), "-D", "-e"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield (
            f"ssh://127.0.0.1:{port}",
            (f"UserKnownHostsFile={folder}/known_hosts", f"IdentityFile={folder}/id", "IdentitiesOnly=yes"),
        )
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def gated(signed: bool) -> Iterator[tuple[Git, GateSettings]]:
    """A clone with a hundred runbooks and three hundred commits, and the settings of its gate."""
    folder = Path(tempfile.mkdtemp(prefix="learner-bench-"))
    try:
        work = init(folder / "work")
        settings = GateSettings()
        config = {"commit.gpgsign": "false"}
        if signed:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
            gate.trust_ssh(folder / "signers", PERSON.email, (folder / "key.pub").read_text())
            settings = GateSettings(allowed_signers=str(folder / "signers"))
            config = {"gpg.format": "ssh", "user.signingkey": str(folder / "key"), "commit.gpgsign": "true"}
        (work.path / "runbooks/linux").mkdir(parents=True)
        for i in range(100):
            (work.path / f"runbooks/linux/RB-LIN-BENCH-{i:03}.yaml").write_text(
                RUNBOOK.replace("BENCH-001", f"BENCH-{i:03}")
            )
        work.run("add", "--all")
        work.run("commit", "--quiet", "-m", "all of them", env=PERSON.environment(), config=config)
        for i in range(300):
            work.run("commit", "--quiet", "--allow-empty", "-m", f"later {i}", env=PERSON.environment())
        Git(folder).run("clone", "--quiet", f"file://{work.path}", "clone")
        clone = Git(folder / "clone")
        gate.fetch(clone, settings, datetime.now(UTC))
        yield clone, settings
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-ssh", action="store_true")
    given = parser.parse_args()
    rounds = given.rounds
    rows: list[tuple[str, str, str, str]] = []

    def row(what: str, ours: float, floor: float | None, goal: str) -> None:
        beside = f"{floor * 1000:.1f} ms" if floor is not None else "–"
        rows.append((what, f"{ours * 1000:.1f} ms" + (f" ({ours / floor:.2f}×)" if floor else ""), beside, goal))

    here = LocalHost(service_manager="systemd")
    bare = ["/bin/true"]
    ours, floor = medians(rounds, ten_steps(here), ten_times(bare))
    row("ten steps of /bin/true, over ten bare subprocess.run", ours, floor, "≤ 1.5×")
    row("… overhead a step", (ours - floor) / STEPS, None, "≤ 15 ms")
    few = max(3, rounds // 3)
    if not given.no_ssh:
        with sshd() as (address, options):
            far = SshHost(address, options=options)
            ours, floor = medians(few, ten_steps(far), ten_times([*far._base, *far._target, "/bin/true"]))
            row("the same over one SSH connection, over a bare ssh loop on it", ours, floor, "≤ 1.2×")
            far.close()
    now = datetime.now(UTC)
    row(
        "state capture: vital signs (processors are watched for 0.5 s)",
        medians(few, lambda: capture(here, VITAL_SIGNS, at=now, seconds=5.0))[0],
        0.5,
        "≤ 5 s",
    )
    argv = [sys.executable, "-m", "learner", "execute", "--help"]
    ours, floor = medians(
        rounds,
        lambda: subprocess.run(argv, capture_output=True, check=True),
        lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
    )
    row("start-up of `learner execute --help`, over bare Python", ours, floor, "≤ 150 ms")
    for signed in (False, True):
        with gated(signed) as (clone, settings):
            ours, floor = medians(
                rounds,
                lambda: gate.check(clone, settings, "RB-LIN-BENCH-050", datetime.now(UTC)),
                lambda: clone.resolve("HEAD"),
            )
            signers = "SSH signature checked" if signed else "no signers pinned"
            row(f"gate, 100 runbooks, 301 commits, {signers}, over one git call", ours, floor, "< 50 ms")
    print("| what | median | floor | goal |\n|---|---|---|---|")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
