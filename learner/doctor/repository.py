"""The runbook repository, and where its telemetry lives."""

from __future__ import annotations

from collections.abc import Iterator

from learner import on_main, pipeline
from learner.doctor.check import Check
from learner.errors import LearnerError
from learner.local_forge import codeowners
from learner.pipeline import Job
from learner.repository import refs
from learner.setup.files import NOBODY


def checks(job: Job, *, try_refs: bool = False) -> Iterator[Check]:
    """What main, telemetry and the model's settings look like; `try_refs` writes and deletes one ref."""
    main = pipeline.fetch_main(job)
    runbooks, broken = on_main.current_runbooks(job.git, main)
    yield Check("repository", "ok", f"main holds {len(runbooks)} runbooks")
    for one in broken:
        yield Check("runbook", "bad", f"{one.path}: {one.reason}", "it is never run; correct it on a branch")
    yield from _patterns(job, main)
    yield from _owners(job, main)
    yield from _telemetry(job)
    if try_refs:
        yield _refs(job)
    yield _model(job)


def _patterns(job: Job, main: str) -> Iterator[Check]:
    """The repair patterns on main, and what the learner does with versions that prove better or worse."""
    known, broken = on_main.repair_patterns(job.git, main)
    if known:
        yield Check("patterns", "ok", f"main adds {len(known)} repair patterns to those of this package")
    for one in broken:
        yield Check("pattern", "bad", f"{one.path}: {one.reason}", "it is not used; docs/patterns.md, on a branch")
    settings = job.settings.follow_up
    told = [
        f"a way back from {settings.revert_min_runs} judged runs on" if settings.reverts else "no way back is proposed",
        f"patterns from {settings.pattern_min_runs} on" if settings.patterns else "no patterns are proposed",
        "optimisations" if settings.optimisations else "no optimisations",
    ]
    yield Check("follow-ups", "ok", f"of merged versions: {', '.join(told)}")


def _owners(job: Job, main: str) -> Iterator[Check]:
    held = next((text for path in codeowners.PLACES if (text := job.git.blob(main, path)) is not None), None)
    if held is None:
        yield Check(
            "code owners", "warn", "main has no CODEOWNERS: anybody with write access may approve", "`learner init`"
        )
        return
    if any(NOBODY in rule.owners for rule in codeowners.parse(held.decode(errors="replace"))):
        yield Check("code owners", "warn", f"CODEOWNERS still names {NOBODY}, who is nobody",
                    "put a team with write access there; GitHub asks for nobody's review until then")  # fmt: skip


def _telemetry(job: Job) -> Iterator[Check]:
    telemetry = job.settings.telemetry
    if telemetry.remote is None:
        yield Check("telemetry", "warn", "lives in the runbook repository: an executor's key can push there",
                    "beyond a trial, give it a repository of its own: telemetry.remote")  # fmt: skip
    inboxes = f"{telemetry.ref_prefix}/inbox/"
    branches = {f"refs/heads/{name}": name for name in (telemetry.branch, telemetry.ledger_branch)}
    try:
        held = refs.advertised(job.git, job.telemetry_remote, *branches, f"{inboxes}*")
    except LearnerError as e:
        yield Check("telemetry", "bad", e.message, e.hint or "")
        return
    waiting = sum(ref.startswith(inboxes) for ref in held)
    there = ", ".join(name for ref, name in branches.items() if ref in held)
    yield Check("telemetry", "ok", f"{waiting} inboxes wait; branches: {there or 'none yet'}")


def _refs(job: Job) -> Check:
    prefix = job.settings.telemetry.ref_prefix
    ref, main = f"{prefix}/inbox/doctor/doctor", job.git.resolve(refs.private(job.remote, job.base))
    try:
        refs.push(job.git, job.telemetry_remote, [refs.Update(ref, main, None)])
        refs.push(job.git, job.telemetry_remote, [refs.Update(ref, None, main)])
    except LearnerError as e:
        return Check("refs", "bad", f"the host does not take {ref}: {e.message}",
                     "set telemetry.ref_prefix to refs/heads/learner-refs, here and on every host")  # fmt: skip
    return Check("refs", "ok", f"the host takes refs below {prefix}")


def _model(job: Job) -> Check:
    model = job.settings.model
    if job.classifier is None:
        return Check(
            "model", "skip", "none set up: rules judge, patterns repair", "set model.base_url and its key to have one"
        )
    words = f"{model.small} judges, {model.large} writes, at most ${model.max_cost_usd:g} a run"
    return Check("model", "ok", words)
