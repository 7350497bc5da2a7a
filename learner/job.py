"""Where the learner works and by whose leave, and what Git and the forge hold at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from learner import ledger
from learner.decide import Scene, Tell
from learner.errors import LearnerError
from learner.habits import HabitFold
from learner.models import Memory, SkippedFile
from learner.on_main import current_runbooks, digest, improvements_on_main, repair_patterns
from learner.proposals.acceptance import acceptance
from learner.proposals.brief import Proposer
from learner.proposals.merged import Improvement
from learner.proposals.patterns import Pattern, PatternProposer
from learner.report.metrics import VersionFold
from learner.repository import refs
from learner.repository.git import Git, Identity
from learner.repository.lean import Lean
from learner.runbook_file import RunbookFile
from learner.settings import RepositorySettings
from learner.telemetry import collect as reading
from learner.telemetry.collect import Collected
from learner.telemetry.empty_disk import lean_for
from learner.telemetry.state import State
from learner.triage.clusters import ClusterFold, SuccessFold

if TYPE_CHECKING:
    from learner.forge.gateway import Gateway
    from learner.model_client import ModelClient

FOLDS = (ClusterFold(), SuccessFold(), VersionFold(), HabitFold())
"""What is known of all history; the state is these, and nothing else."""


@dataclass(frozen=True)
class Job:
    """Where the learner works, and by whose leave."""

    git: Git
    remote: str
    settings: RepositorySettings
    author: Identity
    run_id: str
    now: datetime
    proposers: tuple[Proposer, ...]
    gateway: Gateway | None = None
    classifier: ModelClient | None = None
    candidates: int = 1
    base: str = "main"
    tell: Tell = field(default=lambda _line: None)

    @property
    def telemetry_remote(self) -> str:
        return self.settings.telemetry.remote or self.remote


@dataclass(frozen=True)
class Seen:
    """What Git and the forge hold, at one moment."""

    main: str
    runbooks: Mapping[str, RunbookFile]
    broken: tuple[SkippedFile, ...]
    telemetry: str | None
    collected: Collected
    book: ledger.Ledger
    memory: Memory
    patterns: tuple[Pattern, ...] = ()
    """The repair patterns that people merged into `main`."""
    improvements: tuple[Improvement, ...] = ()
    """The learner's edits that `main` took over, and what they proved to be worth."""
    lean: Lean | None = None
    """Where telemetry is read, when this clone does not hold it."""

    @property
    def state(self) -> State:
        return self.collected.state


def lean_of(job: Job) -> Lean | None:
    """Where a runner with an empty disk reads telemetry without its history; None when the clone fetches it."""
    return lean_for(job.git, job.telemetry_remote, job.settings.telemetry, job.tell)


def look(job: Job, lean: Lean | None = None) -> Seen:
    """Main, telemetry, ledger and forge as they are now; one question to each, and only what moved is fetched."""
    lean = lean or lean_of(job)
    main, telemetry, book_at = _tips(job, lean)
    runbooks, broken = current_runbooks(job.git, main)
    patterns, unfit = repair_patterns(job.git, main)
    book = ledger.at(job.git, book_at)
    state = State.parse(book.state) if book.state else None
    collected = reading.collect(job.git, telemetry, FOLDS, state, lean=lean)
    if collected.rebuilt and book.state:
        job.tell(f"read all telemetry again: {collected.rebuilt}")
    improved = improvements_on_main(job.git, main, book.reviews, collected.state, runbooks)
    return Seen(
        main, runbooks, (*broken, *unfit), telemetry, collected, book, recall(job, book), patterns, improved, lean
    )


def scene_of(job: Job, seen: Seen) -> Scene:
    """All that this run's decisions lean on; the pattern proposer gets to know main's patterns and people's decisions."""
    accepted = acceptance(seen.memory)
    return Scene(
        runbooks=seen.runbooks,
        state=seen.state,
        load=lambda ids: reading.results(job.git, seen.telemetry, ids, lean=seen.lean),
        memory=seen.memory,
        reviews=seen.book.reviews,
        settings=job.settings,
        proposers=tuple(
            one.knowing(seen.patterns, accepted) if isinstance(one, PatternProposer) else one for one in job.proposers
        ),
        improvements=seen.improvements,
        knows=digest(seen.patterns),
        classifier=job.classifier,
        candidates=job.candidates,
        now=job.now,
        tell=job.tell,
    )


def _tips(job: Job, lean: Lean | None) -> tuple[str, str | None, str | None]:
    """The commits of main, telemetry and ledger, fetched; with `lean`, telemetry's is only named."""
    main = fetch_main(job) if job.telemetry_remote != job.remote else None
    settings, remote = job.settings.telemetry, job.telemetry_remote
    names = {
        f"refs/heads/{settings.branch}": refs.private(remote, "telemetry"),
        f"refs/heads/{settings.ledger_branch}": refs.private(remote, "ledger"),
    }
    if main is None:
        names[f"refs/heads/{job.base}"] = refs.private(remote, "main")
    tips = refs.follow(
        job.git, remote, names, fetched=lambda ref: lean is None or ref != f"refs/heads/{settings.branch}"
    )
    main = main or tips[f"refs/heads/{job.base}"]
    if main is None:
        raise _no_main(job)
    return main, tips[f"refs/heads/{settings.branch}"], tips[f"refs/heads/{settings.ledger_branch}"]


def fetch_main(job: Job) -> str:
    """The commit of `main` on the remote, fetched."""
    ref = f"refs/heads/{job.base}"
    tip = refs.follow(job.git, job.remote, {ref: refs.private(job.remote, "main")})[ref]
    if tip is None:
        raise _no_main(job)
    return tip


def _no_main(job: Job) -> LearnerError:
    return LearnerError(f"{job.remote} has no branch {job.base}", "push one, or set it up: `learner init`")


def known_heads(book: ledger.Ledger) -> frozenset[str]:
    """Commits of proposals that the ledger says the learner made."""
    return frozenset(
        head
        for review in book.reviews.values()
        for head in (p.get("head") for p in review.get("proposals", {}).values())
        if head
    )


def recall(job: Job, book: ledger.Ledger) -> Memory:
    """What the forge remembers; nothing when the job has no forge."""
    if job.gateway is None:
        return Memory()
    from learner.forge import memory

    return memory.recall(job.gateway, known_heads(book))
