"""Pinning signers on this host: which keys may have signed what runs here."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from learner.actions.host import Completed
from learner.errors import LearnerError
from learner.executor.hosts import processes

WEB_FLOW_URL = "https://github.com/web-flow.gpg"
WEB_FLOW_FINGERPRINT = "968479A1AFF927E37D1A566BB5690EEEBB952194"
"""GitHub's key for commits made on its pages, in force since 2024-01-16, as far as is publicly known.

GitHub's documentation names the URL and no fingerprint, so a person confirms it (`learner gate trust`). The key before it,
5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23, ended that day: what it signed is refused by Git, so it is not pinned.
Source: GitHub Docs, "About commit signature verification" (the URL; the former fingerprint, up to 2023). GitHub Blog,
2024-01-16, "Rotating credentials for GitHub.com and new GHES patches" (the change of keys).
github.com/raspiblitz/raspiblitz/issues/4406 (both fingerprints, as that URL and keyserver.ubuntu.com gave them then).
"""


@dataclass(frozen=True)
class Signer:
    """A key that this host pins."""

    kind: str
    """ssh or gpg."""
    name: str
    key: str
    """The SSH public key, or the OpenPGP fingerprint."""
    until: str | None = None
    """When it stops counting, as the key or the pin says."""


def signers(allowed_signers: str | None, gpg_home: str | None) -> tuple[Signer, ...]:
    """All keys pinned in the two places; an empty place has none."""
    found: list[Signer] = []
    if allowed_signers and Path(allowed_signers).is_file():
        for line in Path(allowed_signers).read_text("utf-8").splitlines():
            if parts := re.match(r"(\S+)\s+(?:(\S*=\S*)\s+)?((?:ssh|ecdsa|sk)-\S+ \S+)", line):
                until = re.search(r'valid-before="?([0-9Z]+)', parts[2] or "")
                found.append(Signer("ssh", parts[1], parts[3], until[1] if until else None))
    if gpg_home and Path(gpg_home).is_dir():
        found += [Signer("gpg", key.name, key.fingerprint, key.until) for key in _listed(gpg_home)]
    return tuple(found)


def distrust_ssh(allowed_signers: Path, principal: str) -> int:
    """How many lines of `principal` were taken out of an allowed-signers file."""
    lines = allowed_signers.read_text("utf-8").splitlines(keepends=True) if allowed_signers.is_file() else []
    kept = [line for line in lines if line.split(None, 1)[:1] != [principal]]
    if len(kept) < len(lines):
        temporary = allowed_signers.with_suffix(".new")
        temporary.write_text("".join(kept), "utf-8")
        temporary.replace(allowed_signers)
    return len(lines) - len(kept)


@dataclass(frozen=True)
class Key:
    """An OpenPGP public key that is offered."""

    fingerprint: str
    name: str
    until: str | None
    """When it ends, in seconds since the epoch; None: never."""
    is_valid: bool
    """Whether it is neither expired nor revoked."""


def keys_in(armoured: str) -> tuple[Key, ...]:
    """The primary keys that a text holds. Nothing is pinned by looking.

    Raises: `LearnerError` when gpg is missing or the text holds no public key.
    """
    with tempfile.TemporaryDirectory(prefix="learner-gpg-") as home:
        done = _gpg(home, "--with-colons", "--fixed-list-mode", "--show-keys", stdin=armoured)
    if done.exit_code == 127:
        raise LearnerError("gpg is not installed", "install GnuPG, or pin SSH keys: `learner gate trust ssh`")
    found = tuple(_keys(done.stdout))
    if not found:
        raise LearnerError("that is no OpenPGP public key", "give the armoured text that `gpg --armor --export` prints")
    return found


def trust_gpg(home: Path, armoured: str, expected: Container[str] | None = None) -> tuple[str, ...]:
    """Pin OpenPGP keys in a GnuPG home of this host's own; the fingerprints that are pinned now.

    With `expected`, only those fingerprints are pinned: what else came along is not trusted.

    Raises: `LearnerError` when gpg is missing, the text holds no key, or none that was expected.
    """
    offered = keys_in(armoured)
    chosen = [key.fingerprint for key in offered if expected is None or key.fingerprint in expected]
    if not chosen:
        raise LearnerError(
            f"none of the keys has the fingerprint that is expected: {', '.join(key.fingerprint for key in offered)}",
            "check where the key came from, or give --fingerprint",
        )
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = {key.fingerprint for key in _listed(str(home))}
    _gpg(str(home), "--import", stdin=armoured)
    for key in _listed(str(home)):
        if key.fingerprint not in before and key.fingerprint not in chosen:
            _gpg(str(home), "--yes", "--delete-keys", key.fingerprint)
    held = {key.fingerprint for key in _listed(str(home))}
    if missing := [fingerprint for fingerprint in chosen if fingerprint not in held]:
        raise LearnerError(f"gpg did not take {', '.join(missing)}", f"try `gpg --homedir {home} --import` by hand")
    return tuple(chosen)


def _listed(home: str) -> list[Key]:
    """Every primary key of a GnuPG home."""
    return list(_keys(_gpg(home, "--with-colons", "--fixed-list-mode", "--list-keys").stdout))


def _keys(listing: str) -> Iterator[Key]:
    """The primary keys of a colon listing. Source: GnuPG, doc/DETAILS, "Format of the colon listings"."""
    head: list[str] = []
    fingerprint = ""
    for line in listing.splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sub"):
            head, fingerprint = (fields, "") if fields[0] == "pub" else ([], "")
        elif fields[0] == "fpr" and head and not fingerprint:
            fingerprint = fields[9]
        elif fields[0] == "uid" and fingerprint:
            until = head[6] or None
            ended = until is not None and until.isdigit() and int(until) < time.time()
            yield Key(fingerprint, fields[9], until, head[1] not in ("e", "r", "i", "d", "n") and not ended)
            head, fingerprint = [], ""


def _gpg(home: str, *words: str, stdin: str | None = None) -> Completed:
    argv = ["gpg", "--batch", "--no-autostart", "--homedir", home, *words]
    return processes.run(argv, timeout_seconds=30.0, stdin=stdin, env={"LC_ALL": "C.UTF-8"})
