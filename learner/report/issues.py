"""One issue an alert: opened when it speaks, kept up to date in place, closed by itself when it is silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from learner.report.alerts import Alert

LABEL = "learner-alert"
_NAMES = ("review-backlog", "approval-rate", "high-priority-waiting", "regression")


class IssueTracker(Protocol):
    """What is needed of a forge."""

    def issues(self, label: str) -> dict[str, tuple[int, str, str]]: ...
    def keep_issue(self, title: str, body: str, label: str, number: int | None) -> int: ...
    def close_issue(self, number: int, comment: str) -> None: ...


def title(name: str) -> str:
    """The issue's title: how it is found again."""
    return f"Learner alert: {name}"


def keep(alerts: Sequence[Alert], tracker: IssueTracker) -> Iterator[str]:
    """Do it, saying what was done; saying nothing when everything is as it should be."""
    open_now = tracker.issues(LABEL)
    by_name: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_name.setdefault(alert.name, []).append(alert)
    for name in _NAMES:
        number, body, _ = open_now.get(title(name), (None, "", ""))
        if name in by_name:
            wanted = _body(by_name[name])
            if number is None or body.replace("\r\n", "\n") != wanted:
                done = tracker.keep_issue(title(name), wanted, LABEL, number)
                yield f"{'opened' if number is None else 'updated'} #{done}: {title(name)}"
        elif number is not None:
            tracker.close_issue(number, "This no longer holds.")
            yield f"closed #{number}: {title(name)}"


def _body(alerts: Sequence[Alert]) -> str:
    parts = []
    for alert in alerts:
        subjects = "".join(f"\n- {subject}" for subject in alert.subjects)
        parts.append(f"**{alert.message}.**\n\nNext: {alert.next_step}.\n{subjects}")
    return (
        "\n\n".join(parts).rstrip()
        + "\n\nThis issue is kept up to date by `learner report --issues`, and closes by itself.\n"
    )
