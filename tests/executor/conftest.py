"""A host for every test: a clone of a runbook repository, a spool, and services under a private supervisord."""

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent, indent

import pytest

from learner.executor import gate
from learner.repository.git import Git, Identity, init
from learner.settings import GateSettings

PERSON = Identity("Dana Reviewer", "dana@acme.example")
BOT = Identity("learner[bot]", "learner[bot]@users.noreply.github.com")

RUNBOOK = """
id: {id}
version: {version}
name: A test
description: A test's runbook.
platform: linux
incident_types: [{incident_type}]
{more}steps:
{steps}verification:
{verification}"""


def runbook(
    steps: str,
    verification: str = "- {id: there, check: file_exists, params: {path: /}}",
    *,
    id: str = "RB-LIN-TEST-001",
    version: int = 1,
    incident_type: str = "service_crash",
    more: str = "",
) -> str:
    """A runbook's text around its steps and checks."""
    return RUNBOOK.format(
        id=id, version=version, incident_type=incident_type, more=dedent(more).lstrip("\n"),
        steps=indent(dedent(steps).strip() + "\n", "  "), verification=indent(dedent(verification).strip() + "\n", "  "),
    ).lstrip("\n")  # fmt: skip


@dataclass
class Site:
    """A bare repository that plays the forge's, a clone of it, and a host's settings."""

    folder: Path

    @property
    def bare(self) -> Git:
        return Git(self.folder / "origin.git")

    @property
    def clone(self) -> Git:
        return Git(self.folder / "clone")

    @property
    def config(self) -> Path:
        return self.folder / "host.yml"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def commit(
        self,
        files: dict[str, str],
        *,
        who: Identity = PERSON,
        sign: Path | None = None,
        branch: str = "main",
        date: str | None = None,
    ) -> str:
        """A commit on the forge's branch; its id."""
        work = Git(self.folder / "work")
        if not work.path.exists():
            Git(self.folder).run("clone", "--quiet", str(self.bare.path), "work")
        if branch != "main":
            work.run("checkout", "--quiet", "-B", branch)
        for path, text in files.items():
            (work.path / path).parent.mkdir(parents=True, exist_ok=True)
            (work.path / path).write_text(text)
        work.run("add", "--all")
        config = {"gpg.format": "ssh", "user.signingkey": str(sign)} if sign else {"commit.gpgsign": "false"}
        work.run(
            "commit",
            "--quiet",
            "--allow-empty",
            *(["-S"] if sign else []),
            "-m",
            "a change",
            env=who.environment(date),
            config=config,
        )
        work.run("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        tip = work.text("rev-parse", "HEAD")
        if branch != "main":
            work.run("checkout", "--quiet", "main")
        return tip

    def merge(
        self, branch: str, *, who: Identity = PERSON, sign: Path | None = None, squash_as: Identity | None = None
    ) -> str:
        """Merge a branch into main with a merge commit, or squash it as a forge would; main's new commit."""
        work = Git(self.folder / "work")
        config = {"gpg.format": "ssh", "user.signingkey": str(sign)} if sign else {"commit.gpgsign": "false"}
        signed = ["-S"] if sign else []
        if squash_as:
            work.run("merge", "--quiet", "--squash", branch, env=who.environment())
            work.run("commit", "--quiet", *signed, "-m", "squashed", env=squash_as.environment(), config=config)
        else:
            work.run(
                "merge", "--quiet", "--no-ff", *signed, "-m", "merged", branch, env=who.environment(), config=config
            )
        work.run("push", "--quiet", "origin", "main")
        return work.text("rev-parse", "HEAD")

    def runbook(self, text: str, **how: object) -> None:
        """Put a runbook on main as a person, and fetch it to the host."""
        name = next(line.split()[1] for line in text.splitlines() if line.startswith("id:"))
        self.commit({f"runbooks/linux/{name}.yaml": text}, **how)  # type: ignore[arg-type]
        self.fetch()

    def fetch(self, now: datetime | None = None, **settings: object) -> None:
        gate.fetch(self.clone, GateSettings(**settings), now or datetime.now(UTC))  # type: ignore[arg-type]

    def settings(self, more: str = "") -> Path:
        """Write the host's settings; their file."""
        self.config.write_text(
            f"client_id: acme\nexecutor_id: web-1-agent\nhostname: web-1\nrepository: {self.clone.path}\n"
            f"spool: {self.spool}\ncapture_seconds: 3.0\n" + dedent(more)
        )
        return self.config


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A forge's repository with one commit by a person, a clone and a host."""
    made = Site(tmp_path)
    init(tmp_path / "origin.git", bare=True)
    made.commit({"README.md": "runbooks\n"})
    Git(tmp_path).run("clone", "--quiet", str(made.bare.path), "clone")
    made.settings()
    made.fetch()
    return made


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two SSH keys that can sign."""
    folder = tmp_path_factory.mktemp("keys")
    made = []
    for name in ("dana", "mallory"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True
        )
        made.append(folder / name)
    return made[0], made[1]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Until it holds, or the test fails."""
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, f"waited {seconds} s in vain"
        time.sleep(0.02)


@dataclass
class Supervisor:
    """A private supervisord."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "supervisord.conf"

    def control(self, *words: str) -> str:
        argv = [str(Path(sys.executable).parent / "supervisorctl"), "-c", str(self.config), *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20).stdout


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], Supervisor]]:
    """Starts a supervisord with programs (name → command); it is gone when the test ends."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    started: list[Supervisor] = []
    with contextlib.ExitStack() as stack:

        def start(programs: dict[str, str], **options: str) -> Supervisor:
            # a socket's path has room for 107 characters (Source: unix(7)); pytest's folders are longer
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="learner-test-")))
            made = Supervisor(folder)
            more = "".join(f"{key}={value}\n" for key, value in options.items())
            parts = [
                f"[program:{name}]\ncommand={command}\nautostart=false\nautorestart=false\nstartsecs=1\nstartretries=0\n"
                f"stopwaitsecs=2\nstdout_logfile={folder}/{name}.out\nstderr_logfile={folder}/{name}.err\n{more}"
                for name, command in programs.items()
            ]
            made.config.write_text(
                f"[supervisord]\nlogfile={folder}/d.log\npidfile={folder}/d.pid\nchildlogdir={folder}\nsilent=true\n"
                f"[unix_http_server]\nfile={folder}/s\n"
                "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
                f"[supervisorctl]\nserverurl=unix://{folder}/s\n" + "".join(parts)
            )
            subprocess.run(
                [str(Path(sys.executable).parent / "supervisord"), "-c", str(made.config)], check=True, timeout=20
            )
            started.append(made)
            wait_for(lambda: "refused" not in made.control("status") and "no such file" not in made.control("status"))
            return made

        yield start
        for one in started:
            with contextlib.suppress(OSError, ValueError):
                pid = int((one.folder / "d.pid").read_text())
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda pid=pid: not Path(f"/proc/{pid}/stat").exists(), 15)  # type: ignore[misc]


@dataclass
class Sshd:
    """A real sshd on loopback, with a throw-away key for the user who runs the tests."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        import getpass

        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def options(self) -> tuple[str, ...]:
        return (
            f"UserKnownHostsFile={self.folder}/known_hosts",
            f"IdentityFile={self.folder}/id",
            "IdentitiesOnly=yes",
            "GlobalKnownHostsFile=/dev/null",
        )


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A running sshd; skipped where there is none."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("ssh") is None:
        pytest.skip("OpenSSH is not installed")
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    # sshd reads it as the user who comes in; pytest's folders are closed to others
    open_to_all = Path(tempfile.mkdtemp(prefix="learner-sshd-"))
    open_to_all.chmod(0o755)
    (open_to_all / "authorized_keys").write_text((folder / "id.pub").read_text())
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {open_to_all}/authorized_keys\n"
        f"PidFile {folder}/pid\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "MaxStartups 100\nLogLevel ERROR\n"
    )
    process = subprocess.Popen([program, "-f", str(folder / "config"), "-D", "-e"], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens)
    yield Sshd(folder, port, process)
    process.terminate()
    process.wait(10)
    shutil.rmtree(open_to_all)


@pytest.fixture
def gpg() -> Iterator[Path]:
    """A GnuPG home with a key of Dana's."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    # gpg-agent's socket has room for some hundred characters
    home = Path(tempfile.mkdtemp(prefix="learner-gpg-"))
    argv = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "Dana <dana@acme.example>",
        "ed25519",
        "sign",
        "never",
    ]
    subprocess.run(argv, check=True, capture_output=True)
    yield home
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=False)
    shutil.rmtree(home, ignore_errors=True)
