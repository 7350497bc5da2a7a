"""Whether anything has changed since a run that found nothing to do: two questions instead of a run.

A run of `learner learn` that changed nothing leaves a note in the clone, `.git/learner/quiet.json`: what the remote's
refs and the forge were before it looked at them, and what it said. While all of that is the same the next run would
say the same, and does so at once. Whatever is unclear, or old, means a whole run: a note saves time, never work.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner.errors import LearnerError

if TYPE_CHECKING:
    from learner.pipeline import Job, Learned

TRUSTED = timedelta(hours=6)
"""So long a note holds: what no question shows (an edited comment, a right that was given) waits no longer than this."""
_PASSING = ("cooldown:", "per_run:")
"""Reasons for waiting that are over by themselves."""


@dataclass(frozen=True)
class Question:
    """What to ask, and by which variables of the environment."""

    refs: dict[str, list[str]]
    """Remote → refs, or patterns of them."""
    api_url: str
    repository: str
    token_env: str
    key_env: str


def question(job: Job) -> Question | None:
    """What to ask about `job` so that equal answers mean equal runs; None without a forge."""
    if job.gateway is None:
        return None
    telemetry, forge = job.settings.telemetry, job.gateway.settings
    refs = {job.remote: [f"refs/heads/{job.base}", "refs/heads/learner/*"]}
    refs.setdefault(job.telemetry_remote, []).extend(
        [f"refs/heads/{telemetry.branch}", f"refs/heads/{telemetry.ledger_branch}", f"{telemetry.ref_prefix}/inbox/*"]
    )
    return Question(refs, forge.api_url, job.gateway.name, forge.token_env, job.settings.model.key_env)


def answers(repo: Path, asked: Question) -> str | None:
    """The answers as one text; None when there are none now."""
    from learner.forge.newest import newest
    from learner.repository.git import Git
    from learner.repository.refs import advertised

    token = os.environ.get(asked.token_env) or os.environ.get("GITHUB_TOKEN") or ""
    try:
        tips = {remote: advertised(Git(repo), remote, *names) for remote, names in asked.refs.items()}
    except LearnerError:
        return None
    touched = newest(asked.api_url, asked.repository, token)
    return None if touched is None else json.dumps([tips, touched], sort_keys=True)


def unchanged(repo: Path, options: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """The document of the run that left a note here, when nothing has changed since; else None."""
    try:
        note = json.loads(_note(repo).read_bytes())
        asked = Question(**note["asked"])
        age = now - datetime.fromisoformat(note["at"])
        if not timedelta() <= age < TRUSTED or note["key"] != _key(repo, options, asked):
            return None
        document: dict[str, Any] = note["document"]
        return document if answers(repo, asked) == note["answers"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(
    repo: Path, options: Mapping[str, Any], job: Job, before: str | None, learned: Learned, document: Mapping[str, Any]
) -> None:
    """Leave a note, when `learned` has changed nothing and would find the same again. `before` are the answers from
    before it looked: what happened meanwhile makes the next run a whole one."""
    asked = question(job)
    if asked is None or before is None or not _steady(job, learned):
        return
    note = {
        "asked": asdict(asked),
        "answers": before,
        "key": _key(repo, options, asked),
        "at": job.now.isoformat(),
        "document": dict(document),
    }
    path = _note(repo)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps(note), "utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # the next run is a whole one, that is all


def _steady(job: Job, learned: Learned) -> bool:
    """Whether the same run, later, would decide the same: nothing waits for a time or for a model."""
    if not learned.did_nothing or learned.skipped or (learned.folded and learned.folded.left):
        return False
    return not any(
        decision.outcome == "proposed"
        or decision.reason.startswith(_PASSING)
        or "model_" in decision.reason
        or (job.classifier is not None and decision.verdict.decided_by == "none")
        for decision in learned.plan.decisions
    ) and not any(up.outcome == "proposed" or up.reason.startswith(_PASSING) for up in learned.plan.follow_ups)


def _note(repo: Path) -> Path:
    """Where the note lies; in a linked work tree, whose `.git` is a file, nowhere."""
    git_dir = repo / ".git"
    return (repo if (repo / "HEAD").is_file() and not git_dir.exists() else git_dir) / "learner" / "quiet.json"


def _key(repo: Path, options: Mapping[str, Any], asked: Question) -> str:
    """What a run depends on besides the answers: this program, its options, the clone's settings, the environment."""
    names = {asked.token_env, asked.key_env, "GITHUB_TOKEN", "GITHUB_API_URL"}
    environment = {k: v for k, v in os.environ.items() if k in names or k.startswith("LEARNER_")}
    parts = [*_program(), json.dumps([dict(options), environment], sort_keys=True, default=str)]
    parts.append((_note(repo).parents[1] / "config").read_text("utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _program() -> Iterator[str]:
    """This program's files with their sizes and times, so that an upgrade makes the next run a whole one."""
    package = Path(__file__).parents[1]
    folders: Iterable[Path] = (package, package.parent / "runbooks" / "patterns")
    for folder in folders:
        for at, below, files in os.walk(folder):
            below[:] = sorted(name for name in below if name != "__pycache__")
            for name in sorted(files):
                known = os.stat(os.path.join(at, name))
                yield f"{at}/{name} {known.st_size} {known.st_mtime_ns}"
