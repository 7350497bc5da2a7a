"""Recall: what the forge says was proposed, decided and said."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError

from learner.forge.gateway import Gateway, Pull, Said
from learner.forge.marks import PREFIX, answers, revealed
from learner.models.memory import Asking, Memory, Remembered, Word


def recall(gateway: Gateway, known_heads: frozenset[str]) -> Memory:
    """Every pull request of the learner's, with the decisions and words of people who may write.

    `known_heads` are the commits the ledger says the learner made: a branch whose head is none of them was
    touched by a person. A pull request that carries no proposal of the learner's, or was opened by somebody
    else, is not remembered.
    """
    found = []
    for pull in gateway.pulls(PREFIX):
        held = revealed(pull.body)
        if held is None or (gateway.login is not None and pull.author != gateway.login):
            continue
        remembered = _remembered(gateway, pull, held, known_heads)
        if remembered:
            found.append(remembered)
    return Memory(pulls=tuple(found))


def _remembered(gateway: Gateway, pull: Pull, held: dict[str, Any], known_heads: frozenset[str]) -> Remembered | None:
    # What was decided long ago and merged is only counted; what people said matters while it is open or was refused.
    said = gateway.said(pull) if pull.state != "merged" else []
    answered = {answers(one.body) for one in said if one.kind == "comment" and one.login == pull.author}
    words = [word for word in said if not word.is_bot and word.login != pull.author and gateway.may_write(word.login)]
    try:
        return Remembered(
            number=pull.number,
            runbook_id=held["runbook_id"],
            version=held["of_version"] if "of_version" in held else held["version"],
            signature=str(held["signature"]),
            fingerprint=str(held["fingerprint"]),
            branch=pull.branch,
            head=pull.head,
            state=pull.state,
            created_at=pull.created_at,
            decided_at=pull.decided_at,
            priority=_priority(pull),
            labels=pull.labels,
            failures=held.get("failures", 0),
            executions=tuple(str(i) for i in held.get("executions", ())),
            verdict=_verdict(words, pull.head),
            touched_by_person=pull.head not in known_heads,
            words=tuple(
                Word(
                    login=word.login,
                    body=word.body,
                    path=word.path,
                    line=word.line,
                    said_at=word.at,
                    comment_id=word.identifier,
                )
                for word in words
                if word.body.strip()
            ),
            unanswered=tuple(
                Asking(review_id=word.identifier, login=word.login)
                for word in _verdicts(words, pull.head)
                if word.verdict == "CHANGES_REQUESTED" and word.identifier not in answered
            ),
            failure_type=str(held.get("failure_type")) if held.get("failure_type") else None,
            proposer=str(held.get("proposer", "")),
            kind=held.get("kind", "improvement"),
        )
    except (KeyError, TypeError, ValidationError):
        return None


def _priority(pull: Pull) -> Literal["high", "medium", "low"]:
    if "priority:high" in pull.labels:
        return "high"
    return "low" if "priority:low" in pull.labels else "medium"


def _verdict(words: list[Said], head: str) -> Literal["approved", "changes_requested", "none"]:
    """One reviewer who wants changes outweighs those who approve."""
    verdicts = {word.verdict for word in _verdicts(words, head)}
    if "CHANGES_REQUESTED" in verdicts:
        return "changes_requested"
    return "approved" if "APPROVED" in verdicts else "none"


def _verdicts(words: list[Said], head: str) -> list[Said]:
    """The newest verdict of each reviewer.

    An approval or a request counts for the commit it was given on: what came after answers it.
    """
    newest: dict[str, Said] = {}
    for word in words:
        if word.kind == "review" and word.verdict in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            newest[word.login] = word
    return [word for word in newest.values() if word.commit in (None, head)]
