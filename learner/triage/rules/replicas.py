"""A member of a group that only follows was asked for what its leader does."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_FOLLOWS = said(
    r"\bnot (?:the )?(?:primary|master|leader)\b", r"NotWritablePrimary", r"READONLY You can't write against a read only replica", r"cannot execute \S+ in a read-only transaction", r"running with the --(?:super-)?read-only option",
    r"NOT_LEADER_FOR_PARTITION|NotLeaderForPartition\w*", r"is in standby mode", r"operation category \S+ is not supported in state standby", r"this node is (?:not the leader|a (?:replica|secondary|standby|follower))", r"not the cluster (?:leader|manager)", r"database is (?:a|in) (?:standby|recovery)",
)  # fmt: skip
_CHANGES_ROLES = ("restart_service", "start_service", "stop_service", "kill_process")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def leader_not_chosen_yet(seen: Seen, case: Case) -> Sign | None:
    """A member of a group was asked right after a start, before the group had a leader again."""
    match = _FOLLOWS.search(seen.error)
    if not match or not seen.step or seen.others or not _came_up(seen):
        return None
    return Sign(0.86, f"the group has no leader yet: “{first_line(seen.error, match)}”", seen.cite)


@rule(FailureType.WRONG_DIAGNOSIS)
def follower_was_asked(seen: Seen, case: Case) -> Sign | None:
    """The incident carries the name of a host that only follows; nothing in the run changed who leads."""
    match = _FOLLOWS.search(seen.error)
    if not match or not seen.step or seen.others or _came_up(seen):
        return None
    return Sign(0.8, f"another host leads: “{first_line(seen.error, match)}”", seen.cite)


def _came_up(seen: Seen) -> bool:
    """Whether a member was started or ended in the run, or was down before it and runs after it."""
    down = [name for name, status in seen.before.get("services", {}).items() if status in ("failed", "stopped")]
    return bool(seen.did(*_CHANGES_ROLES)) or any(seen.service(name, after=True) == "running" for name in down)
