"""What the learner says to a review that asks for changes where it has no revision to give."""

from __future__ import annotations

from learner.forge.escape import code
from learner.models.memory import Asking, Remembered

_CLOSE = "**Close** it, with the reason as a comment: it is not opened again"
_COMMIT = "the learner then keeps off this branch"


def words(pull: Remembered, asking: Asking) -> str:
    """The comment, in GitHub-flavoured Markdown: why there is no revision, and what the reviewer can do."""
    why, *ways = {
        "improvement": (
            "The learner looked for another edit and found none that passes every check. "
            f"`learner explain {pull.runbook_id}` says what was tried; later runs go on looking.",
            f"**Commit** what you have in mind to this branch: {_COMMIT}.",
            "**Close** it, with the reason as a comment: this fix is then not proposed again for this failure.",
        ),
        "revert": (
            f"This brings an earlier text back as v{pull.version}, byte for byte, and nothing else: there is nothing in "
            "it that the learner could write in another way.",
            f"**Commit** to this branch where a part of the newer version should stay: {_COMMIT}.",
            f"{_CLOSE} for v{pull.version - 1}.",
        ),
        "pattern": (
            "The pattern is what the merged edit gives, and has to give that very edit on the failures it was made from. "
            "The learner can't judge where it should be narrower or wider, nor what it should be called: that is yours to say.",
            f"**Edit the file** on this branch, `match.error` and its words above all: {_COMMIT}. Its `example` has "
            "to go on giving the edit that it shows.",
            f"{_CLOSE} for {pull.ref}.",
        ),
        "optimisation": (
            "The change and its figures follow from verified runs alone, by rule: no other edit follows from them.",
            f"**Commit** to this branch, another figure for example: {_COMMIT}.",
            f"{_CLOSE}, whatever the runbook's version.",
        ),
    }[pull.kind]
    ways.append("**Dismiss** the review and merge, if it may stay as it is.")
    return "\n".join([f"{code(asking.login)} asks for changes. {why}", "", *(f"- {way}" for way in ways)])
