"""Proven repairs of other runbooks, for the one that drafts: what was learned at one client helps at the others.

Client names are kept out: a repair is told as the change of a runbook, never as what happened at whom.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import unified_diff

from learner.actions import catalogue
from learner.models import FailureCluster, Runbook, Step, Verification
from learner.models.fold import Held
from learner.proposals.brief import Sibling
from learner.proposals.merged import Improvement
from learner.runbook_file import RunbookFile
from learner.splice import Document

MOST = 3
LONGEST_DIFF = 2_000
_CLIENT = "<client>"


def siblings(
    found: Sequence[Improvement], parent: Runbook, cluster: FailureCluster, clients: Collection[str], least: int
) -> tuple[Sibling, ...]:
    """The nearest proven repairs of other runbooks that this one's platform can carry out; `MOST` at most.

    `clients` are the names to keep out, `least` the judged runs that make a proof.
    """
    near = sorted(
        (rank, one.ref, words, one)
        for one in found
        if one.new.runbook.id != parent.id
        and not one.taken_back
        and one.worth(least) == "better"
        and _possible(one, parent)
        for rank, words in _near(one, parent, cluster)
    )
    return tuple(_told(one, words, clients) for _, _, words, one in near[:MOST])


def clients_of(clusters: Held) -> frozenset[str]:
    """Every client that a failure is known of, out of what the fold of clusters holds."""
    return frozenset(client for held in clusters.values() for entry in held.values() for client in entry["clients"])


def without(text: str, names: Collection[str]) -> str:
    """`text` with `<client>` in the place of each of `names` that stands there as a word."""
    for name in sorted(names, key=lambda name: (-len(name), name)):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", _CLIENT, text, flags=re.IGNORECASE)
    return text


def _near(one: Improvement, parent: Runbook, cluster: FailureCluster) -> Iterator[tuple[int, str]]:
    """How near it is, 0 the nearest; nothing when it has nothing in common."""
    if one.title == cluster.title:
        yield 0, "it failed with the same words"
    elif one.action and one.action == cluster.action:
        yield 1, f"the same action {one.action} failed"
    elif one.check and one.check == cluster.check:
        yield 1, f"the same check {one.check} failed"
    elif (family := _family(one.action, one.check)) and family == _family(cluster.action, cluster.check):
        yield 2, f"an action of the same family failed ({family})"
    elif common := sorted({*one.new.runbook.incident_types} & {*parent.incident_types}):
        yield 3, f"it is for the same incidents ({', '.join(common)})"


def _family(action: str | None, check: str | None) -> str | None:
    return catalogue().family.get(action or check or "")


def _possible(one: Improvement, parent: Runbook) -> bool:
    """Whether this platform knows every action and check that the repair brought."""
    if one.new.runbook.platform == parent.platform:
        return True
    known = catalogue()
    old = {*_named(one.parent.runbook)}
    return all(
        parent.platform in (known.actions[name] if kind == "action" else known.checks[name]).platforms
        for kind, name in {*_named(one.new.runbook)} - old
    )


def _named(runbook: Runbook) -> Iterator[tuple[str, str]]:
    part: Step | Verification
    for part in runbook.all_steps:
        yield "action", part.action
    for part in runbook.verification:
        yield "check", part.check


def _told(one: Improvement, near: str, clients: Collection[str]) -> Sibling:
    lines = unified_diff(_lines(one.parent), _lines(one.new), one.parent.runbook.ref, one.ref, n=2, lineterm="")
    diff = without("\n".join(lines), clients)
    summary = without(one.edit.summary, clients)
    return Sibling(
        one.ref, near, summary, one.figures, diff if len(diff) <= LONGEST_DIFF else diff[:LONGEST_DIFF] + "…"
    )


def _lines(file: RunbookFile) -> list[str]:
    """A runbook without its origin, which names runs and errors."""
    if "metadata" not in file.tree.value:
        return file.text.decode("utf-8", "replace").splitlines()
    document = Document(file.text)
    document.remove(("metadata",))
    return document.text.decode("utf-8", "replace").splitlines()
