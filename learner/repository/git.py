"""Running `git`: one scrubbed environment, one time limit, one translation of its errors."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from learner.errors import GitError

ZERO = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_KEPT = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY", "GIT_TRACE")
_CREDENTIAL_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment git runs in: ours without `GIT_*`, so that a hook's or a shell's repository never leaks in.

    Messages are in English, prompts are off: a job on a schedule must fail, not wait for a password.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}
    kept |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0"}
    return kept | dict(extra or {})


@dataclass(frozen=True)
class Identity:
    """Who a commit says made it."""

    name: str
    email: str

    def environment(self, when: str | None = None) -> dict[str, str]:
        """`GIT_AUTHOR_*` and `GIT_COMMITTER_*`; `when` is any date git reads, such as `2026-11-22T05:00:00+00:00`."""
        names = {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": self.email,
        }
        if when:
            names |= {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        return names


@dataclass(frozen=True)
class Git:
    """Git commands against one repository (`git_dir`: a bare repository, a `.git`, or a work tree's root)."""

    path: Path
    timeout_seconds: float = 300.0

    def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        ok: Sequence[int] = (0,),
    ) -> bytes:
        """Standard output of `git ARGS`, as bytes.

        Raises: `GitError` when the exit status is not in `ok`, git is missing, or the time limit is over.
        """
        return self.attempt(*args, stdin=stdin, env=env, config=config, ok=ok).stdout

    def text(self, *args: str, **options: object) -> str:
        """Standard output of `git ARGS`, decoded and without the last line end."""
        return self.run(*args, **options).decode("utf-8", "replace").rstrip("\n")  # type: ignore[arg-type]

    def attempt(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        ok: Sequence[int] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """The finished process, whatever its exit status unless `ok` names the accepted ones."""
        settings = [word for key, value in (config or {}).items() for word in ("-c", f"{key}={value}")]
        argv = ["git", *settings, *args]
        try:
            done = subprocess.run(
                argv,
                cwd=self.path,
                input=stdin if stdin is not None else b"",
                capture_output=True,
                env=environment(env),
                timeout=self.timeout_seconds,
                check=False,
            )
        except FileNotFoundError as e:
            if not self.path.is_dir():
                raise GitError(f"no repository at {self.path}", "check the path, or run `learner init`") from e
            raise GitError("git is not installed", "install git 2.38 or newer") from e
        except subprocess.TimeoutExpired as e:
            raise GitError(
                f"git {args[0]} did not finish within {self.timeout_seconds:g} s",
                "check the network and the remote",
            ) from e
        if ok is not None and done.returncode not in ok:
            raise failure(args, done.returncode, done.stderr)
        return done

    @contextmanager
    def stream(
        self, *args: str, env: Mapping[str, str] | None = None, stdin: IO[bytes] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running git with pipes for standard output and, without `stdin`, for standard input; ended on leaving."""
        process = subprocess.Popen(
            ["git", *args],
            cwd=self.path,
            stdin=stdin if stdin is not None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(env),
            bufsize=1 << 18,
        )
        try:
            yield process
        finally:
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
            if process.poll() is None:
                process.terminate()
            process.wait()

    def resolve(self, revision: str) -> str | None:
        """The commit a revision names, as 40 hex digits; None when there is none."""
        done = self.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return done.stdout.decode().strip() or None if done.returncode == 0 else None

    def blob(self, revision: str, path: str) -> bytes | None:
        """The bytes of `path` in `revision`; None when it is not there."""
        done = self.attempt("cat-file", "blob", f"{revision}:{path}")
        return done.stdout if done.returncode == 0 else None

    def listing(self, revision: str, prefix: str = "") -> dict[str, str]:
        """Path → blob id of every file under `prefix` in `revision`; empty when the prefix does not exist."""
        raw = self.run("ls-tree", "-r", "-z", "--full-tree", revision, *(["--", prefix] if prefix else []))
        entries = (entry.split(b"\t", 1) for entry in raw.split(b"\0") if entry)
        return {path.decode("utf-8", "surrogateescape"): meta.split()[2].decode() for meta, path in entries}


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(BrokenPipeError):
            pipe.close()


def without_credentials(text: str) -> str:
    """`text` with the user part of every URL removed."""
    return _CREDENTIAL_IN_URL.sub("", text)


def failure(args: Sequence[str], status: int, stderr: bytes) -> GitError:
    """What `git ARGS` said when it failed, as one line with a hint; credentials are taken out."""
    words = without_credentials(stderr.decode("utf-8", "replace").strip())
    lines = [line for line in words.splitlines() if line.strip()]
    said = next(
        (x for x in lines if x.startswith(("fatal:", "error:", "!", " !"))),
        lines[-1] if lines else f"exit status {status}",
    )
    return GitError(f"git {args[0]}: {said}", _hint(words), stderr=words, exit_status=status)


def _hint(words: str) -> str | None:
    for sign, hint in (
        ("Authentication failed", "check the token and its permissions"),
        ("could not read Username", "give a token: set LEARNER_TOKEN, or use an SSH remote"),
        ("Could not resolve host", "check the network; everything recorded so far is kept"),
        ("Connection refused", "is the forge running? everything recorded so far is kept"),
        ("Failed to connect", "is the forge running? everything recorded so far is kept"),
        ("Connection timed out", "check the network; everything recorded so far is kept"),
        ("unable to access", "check the remote's address, the network and the token"),
        ("No space left on device", "free some disk space and run again; nothing half done is left behind"),
        ("not a git repository", "run this inside the runbook repository, or pass --repo"),
        ("does not appear to be a git repository", "check the remote's address in .github/learner.yml"),
    ):
        if sign in words:
            return hint
    return None


def init(path: Path, *, bare: bool = False, branch: str = "main") -> Git:
    """A new repository at `path`, whose parent folders are made."""
    path.mkdir(parents=True, exist_ok=True)
    git = Git(path)
    git.run("init", "-q", "-b", branch, *(["--bare"] if bare else []))
    return git
