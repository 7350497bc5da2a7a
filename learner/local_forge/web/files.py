"""Files and commits as pages, so that the links of a proposal's text lead somewhere."""

from __future__ import annotations

import json
from contextlib import suppress

from flask import Response

from learner.local_forge.api.request import forge
from learner.local_forge.refusal import Refusal
from learner.local_forge.web.desk import HEADERS, Desk, page, to
from learner.local_forge.web.side_by_side import compare

desk = Desk("files")
REPO = "/<owner>/<repo>"
MAX_BYTES = 1024 * 1024


def _find(where: str) -> tuple[str, str, str]:
    """(ref, commit, path) of `ref/path`; a ref may hold slashes, so the longest that exists is taken."""
    parts = where.strip("/").split("/")
    for length in range(len(parts), 0, -1):
        ref = "/".join(parts[:length])
        if sha := forge().repo.resolve(ref):
            return ref, sha, "/".join(parts[length:])
    raise Refusal(404, "There is no such branch, tag or commit.")


@desk.get(REPO + "/blob/<path:where>")
@desk.get(REPO + "/tree/<path:where>", endpoint="tree")
def blob(where: str) -> Response:
    ref, sha, path = _find(where)
    entry = forge().repo.entry(sha, path)
    if entry is None:
        raise Refusal(404, f"{path} is not in {ref}.")
    if entry.type == "tree":
        inside = sorted(forge().repo.tree(entry.sha)[:2000], key=lambda e: (e.type != "tree", e.path))
        return page("file.html", ref=ref, path=path, entries=inside, text=None)
    data = forge().repo.blob(entry.sha) if entry.type == "blob" and (entry.size or 0) <= MAX_BYTES else b"\0"
    text = None if b"\0" in data else data.decode("utf-8", "replace")
    if text is not None and path.endswith(".json"):
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return page("file.html", ref=ref, path=path, entries=None, text=text)


@desk.get(REPO + "/raw/<path:where>")
def raw(where: str) -> Response:
    """A file's bytes as plain text, never as a page."""
    _, sha, path = _find(where)
    entry = forge().repo.entry(sha, path)
    if entry is None or entry.type != "blob":
        raise Refusal(404, "There is no such file.")
    headers = HEADERS | {"Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(forge().repo.blob(entry.sha), headers=headers, content_type="text/plain; charset=utf-8")


@desk.get(REPO + "/commit/<sha>")
def commit(sha: str) -> Response:
    repo = forge().repo
    wanted = repo.resolve(sha)
    found = repo.commit(wanted) if wanted else None
    if found is None:
        raise Refusal(404, "There is no such commit.")
    parent = found.parents[0] if found.parents else None
    shown = []
    for change in repo.changes(found)[:50]:
        before = (repo.file(parent, change.previous or change.path) if parent else None) or b""
        after = repo.file(found.sha, change.path) or b""
        small = len(before) + len(after) <= MAX_BYTES and b"\0" not in before + after
        shown.append(
            (change, compare(before.decode("utf-8", "replace"), after.decode("utf-8", "replace")) if small else None)
        )
    return page("commit.html", commit=found, verification=forge().signatures.check(found), files=shown)


@desk.get(REPO)
def repository() -> Response:
    return to("/")
