"""The page of a pull request that no failure asked for: a version taken back, a pattern learned, an optimisation."""

from __future__ import annotations

from collections.abc import Mapping

from learner.forge.escape import block, cell, code, plain, prose
from learner.forge.marks import hidden_follow_up
from learner.forge.page_parts import Links, changes, count, described, findings_table, reach, replayed, sentence
from learner.models.execution import ExecutionResult
from learner.models.follow_up import FollowUp
from learner.models.runbook import Runbook

_APART = "The two intervals do not touch, so chance is no likely reason."
_REMEMBERED = "**Close** it, with a reason as a comment: it is not opened again"


def title(up: FollowUp) -> str:
    """`RB-LIN-SERVICE-001 v3: back to v1, …`, `Repair pattern learned-…: …`."""
    what = f"Repair pattern {up.pattern_id}" if up.kind == "pattern" else f"{up.runbook_id} v{up.version}"
    return f"{what}: {plain(up.summary, 120)}"


def commit_message(up: FollowUp) -> str:
    """The commit's message: what changes and why."""
    why = {
        "revert": f"{_before(up)} proved worse than the version before it.",
        "pattern": f"{up.ref} proved better than the version before it; this makes its edit a pattern for others.",
        "optimisation": plain(" ".join(" ".join(up.why).split()), 600),
    }[up.kind]
    return "\n".join([title(up), "", why, "", "It counts nowhere before a person has merged it.", ""])


def body(
    up: FollowUp, old: Runbook | None, new: Runbook | None, results: Mapping[str, ExecutionResult], links: Links
) -> str:
    """The body in GitHub-flavoured Markdown. `old` and `new` are the versions it changes; a pattern changes none."""
    if old is None or new is None:
        parts = _pattern(up)
    elif up.kind == "revert":
        parts = _revert(up, old, new, results, links)
    else:
        parts = _optimisation(up, old, new, links)
    return "\n\n".join(part for part in (hidden_follow_up(up), *parts) if part) + "\n"


def _revert(
    up: FollowUp, old: Runbook, new: Runbook, results: Mapping[str, ExecutionResult], links: Links
) -> list[str]:
    head = [
        "> [!WARNING]",
        f"> **{old.ref} does worse than the version it replaced.** {_APART}",
        ">",
        f"> This brings the text of v{old.version - 1} back as v{new.version}: nothing else is in it.",
        ">",
        "> Nothing changes on any host before you merge it.",
    ]
    others = "\n".join([
        "## Before you decide", "",
        f"- Is it the runbook? Hosts, load or the kind of incident may have changed since v{old.version} was merged. "
        "Look at one of the failures first.",
        f"- The failures that v{old.version} was made for come back with v{new.version}. The learner goes on from there and "
        "does not propose that edit again.",
    ])  # fmt: skip
    return [
        "\n".join(head),
        _figures(up),
        _told("What went wrong", up.why, "Failures of it: " + _cited(up, results, links) if up.evidence else ""),
        reach(up.capabilities),
        _steps(old, new),
        findings_table(up.findings),
        others,
        _made("By comparing verified success of the two versions, without a model.", up),
        _decide(
            "**Merge** (with a merge commit) and executors run the old text again, as the new version, from their next fetch on.",
            "**Commit** to this branch yourself when a part of the edit should stay. The learner does not revise this one; a review that asks for changes is told so.",
            f"{_REMEMBERED} for {old.ref}.",
        ),
    ]


def _pattern(up: FollowUp) -> list[str]:
    """No link leads to the evidence: its path would name the client, and this page is for all of them."""
    head = [
        "> [!IMPORTANT]",
        f"> **{up.ref} proved better than the version before it.** {_APART}",
        ">",
        f"> **Proposed:** let other runbooks and other clients have its repair: {sentence(up.summary, 200)}",
        ">",
        "> A pattern runs nowhere. Where the same failure shows, the learner may propose this edit, in a pull request of its own.",
    ]
    operations = up.edit.operations if up.edit else ()
    edit = ["## The edit that proved itself", "", *(f"- {described(one)}" for one in operations)]
    checks = "\n".join([
        "## What to look at", "",
        "- `match.error`: would it also find failures that have another cause? Then narrow it, on this branch.",
        "- `operations`: `<<names>>` are filled from each failure. What stands there literally is the same everywhere.",
        "- No name of a client or host may stand in it; those known were looked for.",
    ])  # fmt: skip
    return [
        "\n".join(head),
        _figures(up),
        "\n".join(edit),
        "## The pattern\n\n"
        + block(up.content.partition("\nexample:\n")[0], "yaml", 6_000)
        + "\n\nIts example, which is a test of it, is under *Files changed*.",
        checks,
        _made(
            f"Out of the merged edit of {up.ref}, without a model. On the {count(len(up.evidence), 'failure')} that edit was "
            "made from, the pattern gives the very same edit.",
            up,
        ),
        _decide(
            "**Merge** and the learner knows this repair from its next run on.",
            "**Commit** to this branch yourself to make it narrower or wider. The learner does not revise this one; a review that asks for changes is told so.",
            f"{_REMEMBERED} for {up.ref}.",
        ),
    ]


def _optimisation(up: FollowUp, old: Runbook, new: Runbook, links: Links) -> list[str]:
    edit, replay = up.edit, up.replay
    head = [
        "> [!NOTE]",
        f"> **Nothing failed.** {' '.join(sentence(why, 400) for why in up.why)}",
        ">",
        f"> **Proposed:** {sentence(up.summary, 200)}",
        *([">", f"> **Risk:** {sentence(edit.risk, 300)}"] if edit else []),
        ">",
        "> Nothing of this runs anywhere before you merge it.",
    ]
    effect = f"**Expected effect.** {prose(edit.expected_effect)}" if edit else ""
    return [
        "\n".join(head),
        reach(up.capabilities),
        effect,
        changes(edit.operations if edit else (), old, new, links),
        findings_table(up.findings),
        replayed(replay, links) if replay else "",
        _made("From verified runs alone, without a model.", up),
        _decide(
            "**Merge** (with a merge commit) and executors run this version from their next fetch on.",
            "**Commit** to this branch yourself to change it. The learner does not revise this one; a review that asks for changes is told so.",
            f"{_REMEMBERED}, whatever the runbook's version. `follow_up.optimisations: false` turns all of this kind off.",
        ),
    ]


def _steps(old: Runbook, new: Runbook) -> str:
    """What goes and what comes back, step by step."""
    before = {step.id: step for step in old.all_steps}
    after = {step.id: step for step in new.all_steps}
    lines = [f"- **goes:** {code(f'{key}: {step.action}')}" for key, step in before.items() if key not in after]
    lines += [f"- **comes back:** {code(f'{key}: {step.action}')}" for key, step in after.items() if key not in before]
    lines += [
        f"- **as it was before:** {code(f'{key}: {step.action}')}"
        for key, step in after.items()
        if key in before and before[key] != step
    ]
    if old.verification != new.verification:
        lines.append("- **as it was before:** the verification")
    return "\n".join(["## What changes", "", *(lines or ["No step; see *Files changed*."])])


def _figures(up: FollowUp) -> str:
    rows = [f"| {code(score.ref)} | {cell(score.words)} |" for score in (up.old, up.new) if score]
    return "\n".join(["## Verified success", "", "| version | share, with its 95% interval |", "|---|---|", *rows])


def _told(heading: str, why: tuple[str, ...], more: str) -> str:
    lines = [f"- {sentence(words, 400)}" for words in why] + ([f"- {more}"] if more else [])
    return "\n".join([f"## {heading}", "", *lines]) if lines else ""


def _cited(up: FollowUp, results: Mapping[str, ExecutionResult], links: Links) -> str:
    return " ".join(links.of(i) + (f" on {code(results[i].hostname)}" if i in results else "") for i in up.evidence[:6])


def _made(words: str, up: FollowUp) -> str:
    return f"## How it was made\n\n{words} Fingerprint {code(up.fingerprint[:16])}."


def _decide(*ways: str) -> str:
    return "\n".join(["## How to decide", "", *(f"- {way}" for way in ways)])


def _before(up: FollowUp) -> str:
    return f"{up.runbook_id}-v{up.version - 1}"
