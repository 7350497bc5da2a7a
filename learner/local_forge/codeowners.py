"""CODEOWNERS: who must approve a change of which paths.

Source: GitHub docs, "About code owners".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from learner.local_forge.users import Directory

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")


@dataclass(frozen=True)
class Rule:
    line: int
    pattern: re.Pattern[str]
    owners: tuple[str, ...]


@dataclass(frozen=True)
class Mistake:
    """A line that names nobody the forge knows; GitHub ignores such owners too."""

    line: int
    column: int
    kind: str
    source: str
    message: str


def parse(text: str) -> list[Rule]:
    """The rules, top to bottom; for a path the last that matches counts."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if words:
            rules.append(Rule(number, _pattern(words[0]), tuple(words[1:])))
    return rules


def _pattern(glob: str) -> re.Pattern[str]:
    anchored = "/" in glob.rstrip("/")
    body = re.escape(glob.strip("/")).replace(r"\*\*/", "(?:.*/)?").replace(r"/\*\*", "/.*").replace(r"\*\*", ".*")
    body = body.replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    below = "/.*" if glob.endswith("/") else "" if glob.endswith("/*") else "(?:/.*)?"
    return re.compile(("" if anchored else "(?:.*/)?") + body + below)


def owners_of(path: str, rules: Iterable[Rule], users: Directory) -> frozenset[str]:
    """The logins that own a path; empty when nobody known does."""
    owners: tuple[str, ...] = ()
    for rule in rules:
        if rule.pattern.fullmatch(path):
            owners = rule.owners
    found = (users.named(o[1:]) if o.startswith("@") else users.mailed(o) for o in owners)
    return frozenset(user.login for user in found if user and user.may("write"))


def mistakes(text: str, users: Directory) -> list[Mistake]:
    """The owners in a CODEOWNERS file that are unknown or may not write."""
    wrong = []
    lines = text.splitlines()
    for rule in parse(text):
        for owner in rule.owners:
            user = users.named(owner[1:]) if owner.startswith("@") else users.mailed(owner)
            if user is None or not user.may("write"):
                source = lines[rule.line - 1]
                words = f"Unknown owner on line {rule.line}: make sure {owner} exists and has write access to the repository"
                wrong.append(Mistake(rule.line, source.index(owner) + 1, "Unknown owner", source, words))
    return wrong
