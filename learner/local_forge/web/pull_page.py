"""One proposal: everything needed to decide, and the decision itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, request

from learner.local_forge import issues as issue_deeds
from learner.local_forge import pulls as deeds
from learner.local_forge import reviews as review_deeds
from learner.local_forge.api.request import forge
from learner.local_forge.diff import FilePatch
from learner.local_forge.forge import Forge
from learner.local_forge.records import CheckRun, Issue, Pull, Status
from learner.local_forge.refusal import Refusal
from learner.local_forge.reviews import Remark
from learner.local_forge.web import machine_part
from learner.local_forge.web.conversation import conversation, remarks_of
from learner.local_forge.web.desk import Desk, me, page, to
from learner.local_forge.web.failures import read_failures
from learner.local_forge.web.markdown import render
from learner.local_forge.web.queue import checks_of, priority_of, state_of
from learner.local_forge.web.side_by_side import Block, compare

desk = Desk("pull")
PULL = "/<owner>/<repo>/pull/<int:number>"
REASONS = {
    "wrong": "Wrong: it does not fix this failure",
    "duplicate": "Duplicate: solved elsewhere",
    "dangerous": "Dangerous: it may do harm",
    "not-worth-it": "Not worth it",
    "other": "Another reason",
}
MAX_FILE = 512 * 1024


@dataclass(frozen=True)
class ChangedFile:
    """A file of the proposal. `blocks` is None when it is binary or too big to show; `lines` can be spoken about."""

    change: FilePatch
    blocks: list[Block] | None
    lines: frozenset[tuple[str, int]]


def changed_files(here: Forge, pull: Pull) -> list[ChangedFile]:
    """The changed files, runbooks first."""
    old, found = here.fork_point(pull), []
    for change in here.changes(pull)[:100]:
        before = here.repo.file(old, change.previous or change.path) or b""
        after = here.repo.file(pull.head_sha, change.path) or b""
        shown = max(len(before), len(after)) <= MAX_FILE and b"\0" not in before + after
        blocks = compare(before.decode("utf-8", "replace"), after.decode("utf-8", "replace")) if shown else None
        lines = [(("LEFT", x.old), ("RIGHT", x.new)) for x in change.lines()]
        found.append(ChangedFile(change, blocks, frozenset((side, n) for pair in lines for side, n in pair if n)))
    return sorted(found, key=lambda f: (not f.change.path.startswith("runbooks/"), f.change.path))


@desk.get(PULL)
def show(number: int) -> Response:
    return _show(forge().pull(number))


def _show(pull: Pull, status: int = 200, error: str = "", draft: dict[str, str] | None = None) -> Response:
    here, user = forge(), me()
    machine = machine_part.read(pull.body)
    judgement = deeds.judge(here, pull)
    return page(
        "pull.html",
        status,
        pull=pull,
        state=state_of(pull),
        machine=machine,
        priority=priority_of(pull, machine),
        body=render(machine_part.without(pull.body)),
        judgement=judgement,
        checks=_checks(here, pull),
        checks_state=checks_of(here, pull),
        files=changed_files(here, pull),
        remarks=_by_line(here, pull),
        failures=read_failures(here.repo, machine.executions) if machine else [],
        entries=conversation(here, pull, user),
        reasons=REASONS,
        own=user.login == pull.author,
        counts_here=user.may("write") and not user.is_bot,
        may_close=user.may("triage") or user.login == pull.author,
        may_merge=user.may("write"),
        error=error,
        notice=request.args.get("done", "") if request.args.get("done") in _NOTICES else "",
        notices=_NOTICES,
        draft=draft or {},
    )


_NOTICES = {
    "APPROVE": "Approved. Thank you.",
    "REQUEST_CHANGES": "Your words are with the author now.",
    "COMMENT": "Said.",
    "merge": "Merged. Executors run this version from their next fetch on.",
    "close": "Closed. This fix is not proposed again for this failure.",
    "reopen": "Open again.",
}


def _checks(here: Forge, pull: Pull) -> list[tuple[str, str, str]]:
    """(name, outcome, words) of each check and status of the head."""
    runs = [
        (r.name, r.conclusion or r.status, str(r.output.get("title") or ""))
        for r in here.store.all(CheckRun, pull.head_sha)
    ]
    statuses = [(s.context, s.state, s.description or "") for s in here.store.all(Status, pull.head_sha)]
    return list(
        {name: (name, outcome.replace("_", " "), words) for name, outcome, words in [*runs, *statuses]}.values()
    )


def _by_line(here: Forge, pull: Pull) -> dict[str, list[Any]]:
    """Threads by `path:side:line`, for showing them where they belong."""
    found: dict[str, list[Any]] = {}
    for remark in remarks_of(here, pull, me()):
        if remark.line is not None:
            found.setdefault(f"{remark.comment.path}:{remark.comment.side}:{remark.line}", []).append(remark)
    return found


def _done(number: int, what: str, anchor: str = "") -> Response:
    return to(f"/{forge().full_name}/pull/{number}?done={what}{anchor}")


def _seen(pull: Pull) -> None:
    """Raises: 409 when the branch moved since the page was loaded: nobody decides on what they have not seen."""
    if request.form.get("head") != pull.head_sha:
        raise Refusal(409, "The proposal changed since you loaded this page. Look at what is new, then decide.")


def _remarks_sent() -> list[Remark]:
    """The words on lines of a form: each field is named `remark:<side>:<line>:<path>`."""
    found = []
    for name, text in request.form.items():
        if name.startswith("remark:") and text.strip():
            _, side, line, path = [*name.split(":", 3), "", "", ""][:4]
            found.append(Remark(path=path, body=text, line=int(line) if line.isdigit() else 0, side=side))
    line = request.form.get("line", "")
    if line.isdigit() and request.form.get("line_words", "").strip():
        found.append(Remark(path=request.form.get("line_path", ""), body=request.form["line_words"], line=int(line)))
    return found


@desk.post(PULL + "/review")
def review(number: int) -> Response:
    pull, event = forge().pull(number), request.form.get("event", "")
    try:
        _seen(pull)
        review_deeds.start_review(
            forge(), me(), pull, event or "COMMENT", _lines(request.form.get("words", "")), _remarks_sent()
        )
    except Refusal as no:
        return _show(pull, no.status, no.words, _kept())
    return _done(
        number, event if event in review_deeds.STATES else "COMMENT", "#conversation" if event == "COMMENT" else ""
    )


def _lines(text: str) -> str:
    """A form's text with plain line ends."""
    return text.replace("\r\n", "\n").strip()


def _kept() -> dict[str, str]:
    """What was typed, so that a refusal loses nothing."""
    return {k: v for k, v in request.form.items() if k not in ("csrf", "head")}


@desk.post(PULL + "/merge")
def merge(number: int) -> Response:
    pull = forge().pull(number)
    try:
        _seen(pull)
        deeds.merge(forge(), me(), pull, sha=request.form.get("head"))
    except Refusal as no:
        return _show(pull, no.status, no.words, _kept())
    return _done(number, "merge")


@desk.post(PULL + "/close")
def close(number: int) -> Response:
    """Close without merging: the reason becomes a label and, with the words given, a comment."""
    pull, user = forge().pull(number), me()
    reason, words = request.form.get("reason", ""), _lines(request.form.get("words", ""))
    try:
        if reason not in REASONS:
            raise Refusal(422, "Say why: the learner remembers the reason.")
        if reason == "other" and not words:
            raise Refusal(422, "Say in a few words why.")
        if pull.state != "open":
            raise Refusal(422, "It is closed already.")
        if not (user.may("triage") or user.login == pull.author):
            raise Refusal(403, "Closing takes the triage role or more.")
        issue_deeds.comment(forge(), user, pull, f"Closed: {REASONS[reason]}." + (f"\n\n{words}" if words else ""))
        if user.may("triage"):
            issue_deeds.add_labels(forge(), user, pull, [f"rejected:{reason}"])
        forge().close_issue(pull, user.login)
    except Refusal as no:
        return _show(pull, no.status, no.words, _kept())
    return _done(number, "close")


@desk.post(PULL + "/reopen")
def reopen(number: int) -> Response:
    pull = forge().pull(number)
    try:
        issue_deeds.edit_issue(forge(), me(), pull, state="open")
    except Refusal as no:
        return _show(pull, no.status, no.words)
    return _done(number, "reopen")


@desk.post(PULL + "/reply/<int:comment_id>")
def reply(number: int, comment_id: int) -> Response:
    """An answer in a thread on a line."""
    pull = forge().pull(number)
    said = next((c for c in review_deeds.visible_remarks(forge(), pull, me()) if c.id == comment_id), None)
    if said is None:
        raise Refusal(404, "That comment is gone.")
    try:
        review_deeds.reply(forge(), me(), pull, said, _lines(request.form.get("words", "")))
    except Refusal as no:
        return _show(pull, no.status, no.words, _kept())
    return _done(number, "COMMENT", "#conversation")


@desk.get("/<owner>/<repo>/issues/<int:number>")
def issue(number: int) -> Response:
    found = forge().issue(number)
    if isinstance(found, Pull):
        return to(f"/{forge().full_name}/pull/{number}")
    return _show_issue(found)


def _show_issue(found: Issue, status: int = 200, error: str = "") -> Response:
    return page(
        "issue.html",
        status,
        issue=found,
        body=render(found.body or ""),
        entries=conversation(forge(), found, me()),
        error=error,
    )


@desk.post("/<owner>/<repo>/issues/<int:number>/comment")
def say(number: int) -> Response:
    found = forge().issue(number)
    try:
        issue_deeds.comment(forge(), me(), found, _lines(request.form.get("words", "")))
        if request.form.get("close"):
            issue_deeds.edit_issue(forge(), me(), found, state="closed")
    except Refusal as no:
        return _show_issue(found, no.status, no.words)
    return to(f"/{forge().full_name}/issues/{number}")
