"""Commits, comparisons, statuses and check runs.

Source: GitHub REST reference, "Commits", "Commit statuses", "Check runs".
"""

from __future__ import annotations

from flask import Response, request

from learner.local_forge.api.repository import REPO
from learner.local_forge.api.request import Body, Room, body, forge, found, need, page_of, paged, said, shapes
from learner.local_forge.bare import SHA, Commit
from learner.local_forge.records import CheckRun, Pull, Status
from learner.local_forge.refusal import Refusal, not_found

room = Room("commits")
COMMIT = REPO + "/commits/<path:ref>"
CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out")
STATES = ("error", "failure", "pending", "success")


def commit_of(ref: str) -> Commit:
    """The commit a ref or id names. Raises: 422 as GitHub does for an id it does not have, 404 never."""
    sha = forge().repo.resolve(ref)
    commit = forge().repo.commit(sha) if sha else None
    if commit is None:
        raise Refusal(422, f"No commit found for SHA: {ref}")
    return commit


@room.get(REPO + "/commits")
def commits() -> Response:
    args = request.args
    start = args.get("sha") or forge().default_branch
    if not forge().repo.heads():
        raise Refusal(409, "Git Repository is empty.")
    sha = forge().repo.resolve(start)
    if sha is None:
        raise not_found()
    author = args.get("author")
    user = forge().users.named(author) if author else None
    ids = forge().repo.log(
        sha,
        path=args.get("path"),
        since=args.get("since"),
        until=args.get("until"),
        author=user.email if user else author,
    )
    shown, headers = page_of(ids)
    answer = said([shapes().commit(c) for c in forge().repo.commits(shown)])
    answer.headers.update(headers)
    return answer


@room.get(COMMIT)
def commit(ref: str) -> Response:
    wanted = commit_of(ref)
    if "application/vnd.github.sha" in request.headers.get("Accept", ""):
        return Response(wanted.sha, content_type="application/vnd.github.sha; charset=utf-8")
    return said(shapes().commit(wanted, forge().repo.changes(wanted)))


@room.get(COMMIT + "/pulls")
def pulls_of(ref: str) -> Response:
    """The pull requests a commit came by: merged ones that brought it, else open ones that hold it."""
    sha = commit_of(ref).sha
    repo = forge().repo
    pulls = []
    for pull in forge().store.all(Pull):
        start = forge().fork_point(pull)
        if sha == pull.merge_commit_sha or (repo.is_ancestor(sha, pull.head_sha) and not repo.is_ancestor(sha, start)):
            pulls.append(pull)
    return paged(pulls, shapes().pull_simple)


@room.get(COMMIT + "/status")
def combined_status(ref: str) -> Response:
    sha = commit_of(ref).sha
    statuses = list({s.context: s for s in forge().store.all(Status, sha)}.values())
    states = {s.state for s in statuses}
    state = (
        "failure" if states & {"error", "failure"} else "pending" if "pending" in states or not states else "success"
    )
    url = f"{shapes().repo_url}/commits/{sha}"
    return said(
        {
            "state": state,
            "statuses": [shapes().status(s) for s in statuses],
            "sha": sha,
            "total_count": len(statuses),
            "repository": shapes().repository(),
            "commit_url": url,
            "url": f"{url}/status",
        }
    )


@room.get(REPO + "/statuses/<path:ref>")
@room.get(COMMIT + "/statuses")
def statuses(ref: str) -> Response:
    return paged(list(reversed(forge().store.all(Status, commit_of(ref).sha))), shapes().status)


@room.post(REPO + "/statuses/<sha>")
def set_status(sha: str) -> Response:
    user = need("write")
    sent = body()
    if not SHA.fullmatch(sha) or forge().repo.object_type(sha) != "commit":
        raise Refusal(422, f"No commit found for SHA: {sha}")
    state = sent.required("state")
    if state not in STATES:
        raise Refusal(422, f"Invalid request.\n\nstate must be one of {', '.join(STATES)}.")
    status = Status(
        sha=sha,
        state=state,
        context=sent.text("context") or "default",
        author=user.login,
        created_at=forge().now(),
        description=sent.text("description"),
        target_url=sent.text("target_url"),
    )
    return said(shapes().status(forge().store.add(status)), 201)


@room.get(COMMIT + "/check-runs")
def check_runs(ref: str) -> Response:
    runs = forge().store.all(CheckRun, commit_of(ref).sha)
    if request.args.get("filter", "latest") == "latest":
        runs = list({r.name: r for r in runs}.values())
    for key in ("status", "check_name"):
        if wanted := request.args.get(key):
            runs = [r for r in runs if getattr(r, key.removeprefix("check_")) == wanted]
    shown, headers = page_of(runs)
    answer = said({"total_count": len(runs), "check_runs": [shapes().check_run(r) for r in shown]})
    answer.headers.update(headers)
    return answer


@room.post(REPO + "/check-runs")
def open_check_run() -> Response:
    user = need("write")
    sent = body()
    sha = sent.required("head_sha")
    if forge().repo.object_type(sha) != "commit":
        raise Refusal(422, f"No commit found for SHA: {sha}")
    run = CheckRun(head_sha=sha, name=sent.required("name"), status="queued", author=user.login)
    run.started_at = forge().now()
    _fill(run, sent)
    return said(shapes().check_run(forge().store.add(run)), 201)


def _fill(run: CheckRun, sent: Body) -> None:
    conclusion = sent.text("conclusion")
    if conclusion is not None and conclusion not in CONCLUSIONS:
        raise Refusal(422, f"Invalid request.\n\nconclusion must be one of {', '.join(CONCLUSIONS)}.")
    status = sent.text("status") or ("completed" if conclusion else run.status)
    if status == "completed" and not (conclusion or run.conclusion):
        raise Refusal(422, "Invalid request.\n\nMissing conclusion for a completed check run.")
    run.status, run.conclusion = status, conclusion or run.conclusion
    for key in ("name", "started_at", "completed_at", "details_url", "external_id"):
        if (value := sent.text(key)) is not None:
            setattr(run, key, value)
    if run.conclusion and not run.completed_at:
        run.completed_at = forge().now()
    run.output |= sent.mapping("output") or {}


@room.get(REPO + "/check-runs/<int:run_id>")
def check_run(run_id: int) -> Response:
    return said(shapes().check_run(found(forge().store.get(CheckRun, run_id))))


@room.patch(REPO + "/check-runs/<int:run_id>")
def edit_check_run(run_id: int) -> Response:
    need("write")
    run = found(forge().store.get(CheckRun, run_id))
    _fill(run, body())
    return said(shapes().check_run(forge().store.put(run)))


@room.get(REPO + "/compare/<path:basehead>")
def compare(basehead: str) -> Response:
    left, dots, right = basehead.partition("...")
    repo = forge().repo
    base, head = (repo.resolve(name.rpartition(":")[2]) for name in (left, right))
    common = repo.merge_base(base, head) if dots and base and head else None
    if not (base and head and common):
        raise not_found()
    if "application/vnd.github.diff" in request.headers.get("Accept", ""):
        return Response(repo.git.run("diff", common, head), content_type="application/vnd.github.diff; charset=utf-8")
    ids = list(reversed(repo.log(f"{base}..{head}")))
    shown, headers = page_of(ids) if "page" in request.args or "per_page" in request.args else (ids[-250:], {})
    left_end, right_end, fork = repo.commits([base, head, common])
    shape = shapes().comparison(
        basehead, left_end, right_end, fork, repo.commits(shown), repo.ahead_behind(base, head), repo.diff(common, head)
    )
    answer = said(shape)
    answer.headers.update(headers)
    return answer
