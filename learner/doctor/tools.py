"""The programs that the learner starts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from learner.doctor.check import Check
from learner.repository.git import Git

OLDEST_GIT = (2, 38)
"""Merges without a work tree came with it. Source: Git 2.38 release notes, `git merge-tree --write-tree`."""


def checks() -> Iterator[Check]:
    """Python, Git, and what verifies SSH signatures."""
    yield Check("python", "ok", ".".join(map(str, sys.version_info[:3])))
    yield _git()
    keygen = shutil.which("ssh-keygen")
    if keygen:
        yield Check("ssh-keygen", "ok", keygen)
    else:
        yield Check("ssh-keygen", "warn", "not installed", "SSH signatures can't be checked without it")


def _git() -> Check:
    wanted = f"install git {'.'.join(map(str, OLDEST_GIT))} or newer"
    if shutil.which("git") is None:
        return Check("git", "bad", "not installed", wanted)
    said = Git(Path.cwd()).text("version").split()[2]
    if tuple(int(part) for part in said.split(".")[:2]) < OLDEST_GIT:
        return Check("git", "bad", said, wanted)
    return Check("git", "ok", said)
