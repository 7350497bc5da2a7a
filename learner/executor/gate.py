"""The gate: the merge is the approval. Decides, from fetched Git objects alone, whether a runbook may run here.

Nothing in the file itself counts. What counts is that the bytes are `main`'s, that a person made the commit
that brought them there, that its signature is one this host pinned, and that the last look is not too old.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner.errors import LearnerError, Refused
from learner.repository.batch import Objects, objects
from learner.repository.git import Git, failure
from learner.settings import GateSettings

if TYPE_CHECKING:
    import subprocess

LEARNER_EMAILS = ("learner[bot]@users.noreply.github.com",)
_BOT = re.compile(r"\[bot\]", re.IGNORECASE)
_STAMP = "learner-fetched.json"


class _Literal(Git):
    """Git that shows every object as it is: a replacement ref in the clone stands for nothing here."""

    def stream(self, *args: str, **options: Any) -> Any:
        options["env"] = {**(options.get("env") or {}), "GIT_NO_REPLACE_OBJECTS": "1"}
        return super().stream(*args, **options)

    def attempt(self, *args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        options["env"] = {**(options.get("env") or {}), "GIT_NO_REPLACE_OBJECTS": "1"}
        return super().attempt(*args, **options)


@dataclass(frozen=True)
class Approved:
    """A runbook that may run, and why."""

    path: str
    text: bytes
    blob: str
    commit: str
    """The commit on `main`'s first-parent line that brought the blob."""
    approved_by: str
    signed_by: str | None
    fetched_at: datetime
    main: str

    @property
    def banner(self) -> str:
        """One line for the head of every run."""
        proof = f"signature of {self.signed_by}" if self.signed_by else "main is trusted as fetched: no signers pinned"
        return f"approved by {self.approved_by} in {self.commit[:10]} ({proof})"


def fetch(git: Git, settings: GateSettings, now: datetime) -> str:
    """Fetch `main` and note when; the commit it stands at.

    Raises: `GitError` when the remote can't be reached.
    """
    ref = _ref(settings)
    git.run("fetch", "--quiet", "--no-tags", settings.remote, f"+refs/heads/{settings.branch}:{ref}")
    tip = git.text("rev-parse", ref)
    # So that asking which commit brought a file does not walk a long history; the answer is the same without it.
    git.attempt("commit-graph", "write", "--reachable", "--changed-paths", "--split", "--no-progress")
    stamp = _directory(git) / _STAMP
    temporary = stamp.with_suffix(".new")
    temporary.write_text(json.dumps({"fetched_at": now.astimezone(UTC).isoformat(), "main": tip}))
    temporary.replace(stamp)
    return tip


def check(git: Git, settings: GateSettings, runbook_id: str, now: datetime) -> Approved:
    """The runbook as `main` has it, when this host may run it.

    Raises: `Refused` with the reason and the way out. Needs no network; a handful of Git calls.
    """
    git = _Literal(git.path, git.timeout_seconds)
    directory, tip = _where(git, settings)
    fetched_at = _age(git, directory, settings, now)
    with objects(git) as held:
        path, blob = _find(held, tip, runbook_id, settings)
        commit, name, email = _brought(git, held, directory, tip, path, blob)
        found = held.read(blob)
    if found is None or found.content is None:
        raise Refused(
            f"{path}: this clone lacks its bytes ({blob[:10]})", "run `git fsck` in the clone, and fetch anew"
        )
    who = f"{name} <{email}>"
    if _is_machine(name, email, settings):
        raise Refused(
            f"{path}: the commit that brought it to {settings.branch} ({commit[:10]}) was made by {who}, not by a person",
            "merge pull requests with merge commits: a squash or rebase carries the learner as its author",
        )
    signed_by = _signature(git, settings, commit)
    return Approved(path, found.content, blob, commit, who, signed_by, fetched_at, tip)


@dataclass(frozen=True)
class Origin:
    """Where a runbook on `main` comes from."""

    path: str
    blob: str
    commit: str
    """The commit on `main`'s first-parent line that brought the blob."""
    author: str
    is_machine: bool


def origins(git: Git, settings: GateSettings) -> tuple[Origin, ...]:
    """Of every runbook on `main` as it was fetched: what brought it, by path.

    Raises: `Refused` when there is no `main` here, or not enough of its history.
    """
    git = _Literal(git.path, git.timeout_seconds)
    directory, tip = _where(git, settings)
    found = []
    with objects(git) as held:
        for path, blob in sorted(_listed(held, tip)):
            commit, name, email = _brought(git, held, directory, tip, path, blob)
            found.append(Origin(path, blob, commit, f"{name} <{email}>", _is_machine(name, email, settings)))
    return tuple(found)


def texts(git: Git, settings: GateSettings) -> dict[str, bytes]:
    """Path → bytes of every runbook on `main` as it was fetched, to choose from; none of them is approved by that.

    Raises: `Refused` when there is no `main` here.
    """
    _, tip = _where(git, settings)
    with objects(git) as held:
        found = {path: held.read(blob) for path, blob in sorted(_listed(held, tip))}
    return {path: item.content for path, item in found.items() if item and item.content is not None}


def _where(git: Git, settings: GateSettings) -> tuple[Path, str]:
    """The clone's Git directory, and the commit that `main` stood at when it was fetched."""
    ref = _ref(settings)
    # One call for both: a host decides this before every run.
    done = git.attempt("rev-parse", "--absolute-git-dir", f"{ref}^{{commit}}")
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    if done.returncode != 0 or len(lines) != 2:
        if not lines:
            raise failure(("rev-parse",), done.returncode, done.stderr)
        raise Refused(
            f"there is no {settings.remote}/{settings.branch} in {git.path}", "fetch it: `learner gate fetch`"
        )
    return Path(lines[0]), lines[1]


def _listed(held: Objects, tip: str) -> list[tuple[str, str]]:
    """Path and blob of every runbook in a commit."""
    folder = held.info(f"{tip}:runbooks")
    if folder is None:
        return []
    found = held.files(folder.oid, "runbooks/")
    return [(p, e.oid) for p, e in found if p.endswith(".yaml") and not p.startswith("runbooks/patterns/")]


def _ref(settings: GateSettings) -> str:
    return f"refs/remotes/{settings.remote}/{settings.branch}"


def _directory(git: Git) -> Path:
    return Path(git.text("rev-parse", "--absolute-git-dir"))


def _age(git: Git, directory: Path, settings: GateSettings, now: datetime) -> datetime:
    """When `main` was fetched last.

    Raises: `Refused` when that is not known, too long ago, or in the future.
    """
    try:
        said = json.loads((directory / _STAMP).read_text())
        fetched_at = datetime.fromisoformat(said["fetched_at"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(
            f"it is not known when {settings.branch} was last fetched into {git.path}", "run `learner gate fetch`"
        ) from None
    age = now - fetched_at
    if age > timedelta(hours=settings.max_age_hours):
        hours = age.total_seconds() / 3600
        raise Refused(
            f"this host last fetched {settings.branch} {hours:.1f} h ago; {settings.max_age_hours:g} h are allowed",
            "bring it online and run `learner gate fetch`, or raise gate.max_age_hours in the host's settings",
        )
    if age < timedelta(minutes=-10):
        raise Refused(
            f"the last fetch lies in the future ({fetched_at.isoformat()})", "set this host's clock, then fetch"
        )
    return fetched_at


def _find(held: Objects, tip: str, runbook_id: str, settings: GateSettings) -> tuple[str, str]:
    found = [(path, blob) for path, blob in _listed(held, tip) if path.endswith(f"/{runbook_id}.yaml")]
    if not found:
        raise Refused(
            f"there is no {runbook_id} on {settings.branch} ({tip[:10]})",
            "a proposal runs only after a person has merged it; `learner review list` shows what waits",
        )
    if len(found) > 1:
        raise Refused(f"{runbook_id} stands twice on {settings.branch}: {', '.join(p for p, _ in found)}", "remove one")
    return found[0]


def _brought(git: Git, held: Objects, directory: Path, tip: str, path: str, blob: str) -> tuple[str, str, str]:
    """The first-parent commit that brought `blob` to `path`, with its author's name and address."""
    line = git.text(
        "log", "--first-parent", "--diff-merges=first-parent", "-1", "--no-mailmap", "--format=%H%x00%an%x00%ae%x00%P",
        tip, "--", path,
    )  # fmt: skip
    if not line:
        raise Refused(f"{path}: no commit of {tip[:10]} brought it", "fetch again")
    commit, name, email, parents = line.split("\0")
    there = held.info(f"{commit}:{path}")
    if there is None or there.oid != blob:
        raise Refused(
            f"{path}: history and tree disagree at {commit[:10]}", "run `git fsck` in the clone, and fetch anew"
        )
    if not parents and _is_shallow(directory, commit):
        raise Refused(
            f"{path}: this clone's history ends at {commit[:10]}, before the commit that brought it",
            "fetch the whole history: `git fetch --unshallow`",
        )
    return commit, name, email


def _is_shallow(directory: Path, commit: str) -> bool:
    try:
        return commit in (directory / "shallow").read_text().split()
    except OSError:
        return False


def _is_machine(name: str, email: str, settings: GateSettings) -> bool:
    known = {address.lower() for address in (*LEARNER_EMAILS, *settings.learner_emails)}
    return bool(_BOT.search(name) or _BOT.search(email)) or email.lower() in known


def _signature(git: Git, settings: GateSettings, commit: str) -> str | None:
    """Who signed the commit, by the keys this host pinned; None when it pinned none.

    Raises: `Refused` when signers are pinned and this is none of theirs.
    """
    if not settings.allowed_signers and not settings.gpg_home:
        return None
    config = {"gpg.program": "gpg", "gpg.ssh.program": "ssh-keygen", "log.showSignature": "false"}
    # A format whose keys are not pinned must not verify by what the machine's own keyring happens to hold.
    config["gpg.ssh.allowedSignersFile"] = settings.allowed_signers or "/dev/null"
    config["gpg.minTrustLevel"] = "undefined"
    env = {"GNUPGHOME": settings.gpg_home or "/nonexistent"}
    for pinned in (settings.allowed_signers, settings.gpg_home):
        if pinned and not Path(pinned).exists():
            raise Refused(
                f"the pinned signers {pinned} can't be read", "restore the file, or pin again: `learner gate trust`"
            )
    done = git.attempt("verify-commit", "--raw", commit, config=config, env=env)
    words = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        last = words.splitlines()[-1] if words else "it carries no signature"
        raise Refused(
            f"the signature of {commit[:10]} is not one this host trusts: {last}",
            "merge on the forge whose key is pinned, or pin the signer: `learner gate trust`",
        )
    return _signer(words)


def _signer(words: str) -> str:
    """The name in git's report of a good signature."""
    if match := re.search(r'Good "git" signature for (\S+) with', words):
        return match[1]
    if match := re.search(r"^\[GNUPG:\] GOODSIG \S+ (.+)$", words, re.MULTILINE):
        return match[1]
    return "a pinned key"


def trust_ssh(allowed_signers: Path, principal: str, public_key: str, valid_before: str | None = None) -> str:
    """Add a signer to an OpenSSH allowed-signers file; the line added.

    What was signed after `valid_before` (YYYYMMDD) does not count: so keys are rotated without a gap.

    Raises: `LearnerError` when `public_key` is no OpenSSH public key. Source: ssh-keygen(1), ALLOWED SIGNERS.
    """
    key = " ".join(public_key.split()[:2])
    if not re.fullmatch(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+", key):
        raise LearnerError("that is no OpenSSH public key", "give the .pub file's text, such as `ssh-ed25519 AAAA…`")
    options = 'namespaces="git"' + (f',valid-before="{valid_before}"' if valid_before else "")
    line = f"{principal} {options} {key}\n"
    held = allowed_signers.read_text() if allowed_signers.exists() else ""
    if line not in held:
        allowed_signers.parent.mkdir(parents=True, exist_ok=True)
        temporary = allowed_signers.with_suffix(".new")
        temporary.write_text(held + line)
        temporary.replace(allowed_signers)
    return line.strip()
