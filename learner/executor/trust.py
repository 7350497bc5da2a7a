"""Pinning signers on this host: which keys may have signed what runs here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from learner.actions.host import Completed
from learner.errors import LearnerError
from learner.executor.hosts import processes

WEB_FLOW_URL = "https://github.com/web-flow.gpg"
WEB_FLOW_FINGERPRINTS = (
    "968479A1AFF927E37D1A566BB5690EEEBB952194",
    "5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23",
)
"""GitHub's keys for commits made on its pages. Source: GitHub Docs, "About commit signature verification"."""


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
        found += [Signer("gpg", name, fingerprint, until) for fingerprint, name, until in _listed(gpg_home)]
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


def trust_gpg(home: Path, armoured: str, expected: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Pin OpenPGP keys in a GnuPG home of this host's own; the fingerprints that are pinned now.

    With `expected`, only those fingerprints are kept: what else came along is not trusted.

    Raises: `LearnerError` when gpg is missing, the text holds no key, or none that was expected.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = {fingerprint for fingerprint, _, _ in _listed(str(home))}
    done = _gpg(str(home), "--import", stdin=armoured)
    if done.exit_code == 127:
        raise LearnerError("gpg is not installed", "install GnuPG, or pin SSH keys: `learner gate trust ssh`")
    fresh = {fingerprint for fingerprint, _, _ in _listed(str(home))} - before
    strangers = {key for key in fresh if expected and key not in expected}
    for key in strangers:
        _gpg(str(home), "--yes", "--delete-keys", key)
    pinned = tuple(key for key, _, _ in _listed(str(home)) if key in fresh - strangers or key in expected)
    if not pinned and not before:
        words = (
            "none of the keys has the fingerprint that is expected" if strangers else "that is no OpenPGP public key"
        )
        raise LearnerError(words, "check where the key came from, or give --fingerprint")
    return pinned


def _listed(home: str) -> list[tuple[str, str, str | None]]:
    """(fingerprint, name, end of validity) of every primary key. Source: GnuPG, doc/DETAILS, colon listings."""
    found: list[tuple[str, str, str | None]] = []
    until: str | None = None
    fingerprint = ""
    primary = False
    for line in _gpg(home, "--with-colons", "--fixed-list-mode", "--list-keys").stdout.splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sub"):
            primary = fields[0] == "pub"
            until = fields[6] or None
        elif fields[0] == "fpr" and primary:
            fingerprint, primary = fields[9], False
        elif fields[0] == "uid" and fingerprint:
            found.append((fingerprint, fields[9], until))
            fingerprint = ""
    return found


def _gpg(home: str, *words: str, stdin: str | None = None) -> Completed:
    argv = ["gpg", "--batch", "--no-autostart", "--homedir", home, *words]
    return processes.run(argv, timeout_seconds=30.0, stdin=stdin, env={"LC_ALL": "C.UTF-8"})
