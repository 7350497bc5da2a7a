"""Git's objects in the shape of GitHub's answers: commits, trees, blobs, refs, files, diffs."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from learner.local_forge.api.shape_base import BaseShapes, Json
from learner.local_forge.bare import Commit, Entry, Signature
from learner.local_forge.diff import FilePatch


class GitShapes(BaseShapes):
    def verification(self, commit: Commit) -> Json:
        checked = self.forge.signatures.check(commit)
        signed = commit.signature is not None
        return {
            "verified": checked.verified,
            "reason": checked.reason,
            "signature": commit.signature,
            "payload": commit.payload if signed else None,
            "verified_at": commit.committer.at if checked.verified else None,
        }

    @staticmethod
    def _signature(who: Signature) -> Json:
        return {"name": who.name, "email": who.email, "date": who.at}

    def git_commit(self, commit: Commit) -> Json:
        """A commit object as Git holds it."""
        return {
            "sha": commit.sha,
            "node_id": self.node("Commit", commit.sha),
            "url": f"{self.repo_url}/git/commits/{commit.sha}",
            "html_url": f"{self.web}/commit/{commit.sha}",
            "author": self._signature(commit.author),
            "committer": self._signature(commit.committer),
            "message": commit.message,
            "tree": {"sha": commit.tree, "url": f"{self.repo_url}/git/trees/{commit.tree}"},
            "parents": [self._parent(sha, "git/commits") for sha in commit.parents],
            "verification": self.verification(commit),
        }

    def _parent(self, sha: str, room: str) -> Json:
        return {"sha": sha, "url": f"{self.repo_url}/{room}/{sha}", "html_url": f"{self.web}/commit/{sha}"}

    def commit(self, commit: Commit, files: list[FilePatch] | None = None) -> Json:
        """A commit with the people behind it; with `files` also what it changed."""
        url = f"{self.repo_url}/commits/{commit.sha}"
        shape: Json = {
            "sha": commit.sha,
            "node_id": self.node("Commit", commit.sha),
            "url": url,
            "html_url": f"{self.web}/commit/{commit.sha}",
            "comments_url": f"{url}/comments",
            "commit": {
                "author": self._signature(commit.author),
                "committer": self._signature(commit.committer),
                "message": commit.message,
                "tree": {"sha": commit.tree, "url": f"{self.repo_url}/git/trees/{commit.tree}"},
                "url": f"{self.repo_url}/git/commits/{commit.sha}",
                "comment_count": 0,
                "verification": self.verification(commit),
            },
            "author": self.mailed(commit.author.email),
            "committer": self.mailed(commit.committer.email),
            "parents": [self._parent(sha, "commits") for sha in commit.parents],
        }
        if files is not None:
            added, deleted = sum(f.additions for f in files), sum(f.deletions for f in files)
            shape["stats"] = {"additions": added, "deletions": deleted, "total": added + deleted}
            shape["files"] = [self.file_change(f, commit.sha) for f in files]
        return shape

    def file_change(self, change: FilePatch, revision: str) -> Json:
        path = quote(change.path)
        shape: Json = {
            "sha": change.old_sha if change.status == "removed" else change.new_sha,
            "filename": change.path,
            "status": change.status,
            "additions": change.additions,
            "deletions": change.deletions,
            "changes": change.additions + change.deletions,
            "blob_url": f"{self.web}/blob/{revision}/{path}",
            "raw_url": f"{self.web}/raw/{revision}/{path}",
            "contents_url": f"{self.repo_url}/contents/{path}?ref={revision}",
        }
        if change.patch is not None:
            shape["patch"] = change.patch
        if change.previous is not None:
            shape["previous_filename"] = change.previous
        return shape

    def ref(self, name: str, sha: str, kind: str) -> Json:
        """A ref; `name` is full, such as `refs/heads/main`."""
        return {
            "ref": name,
            "node_id": self.node("Ref", name),
            "url": f"{self.repo_url}/git/{name}",
            "object": {"sha": sha, "type": kind, "url": f"{self.repo_url}/git/{kind}s/{sha}"},
        }

    def tree(self, sha: str, entries: list[Entry]) -> Json:
        url = f"{self.repo_url}/git"
        items = []
        for e in entries:
            item: Json = {"path": e.path, "mode": e.mode, "type": e.type, "sha": e.sha}
            item |= {} if e.type == "commit" else {"url": f"{url}/{e.type}s/{e.sha}"}
            items.append(item | ({"size": e.size} if e.size is not None else {}))
        return {"sha": sha, "url": f"{url}/trees/{sha}", "tree": items, "truncated": False}

    def blob(self, sha: str, data: bytes) -> Json:
        return {
            "sha": sha,
            "node_id": self.node("Blob", sha),
            "size": len(data),
            "url": f"{self.repo_url}/git/blobs/{sha}",
            "content": _base64(data),
            "encoding": "base64",
        }

    def content(self, entry: Entry, revision: str, data: bytes | None = None) -> Json:
        """A file or folder at a path; with `data` also what is in it (over 1 MB it is left out, as on GitHub)."""
        path = quote(entry.path)
        url = f"{self.repo_url}/contents/{path}?ref={quote(revision, safe='')}"
        kind = {"blob": "file", "tree": "dir", "commit": "submodule"}[entry.type]
        room = {"blob": "blobs", "tree": "trees", "commit": "commits"}[entry.type]
        git_url = f"{self.repo_url}/git/{room}/{entry.sha}"
        html = f"{self.web}/{'tree' if kind == 'dir' else 'blob'}/{quote(revision)}/{path}"
        shape: Json = {
            "type": "symlink" if entry.mode == "120000" else kind,
            "name": entry.path.rpartition("/")[2],
            "path": entry.path,
            "sha": entry.sha,
            "size": entry.size or 0,
            "url": url,
            "html_url": html,
            "git_url": git_url,
            "download_url": f"{self.web}/raw/{quote(revision)}/{path}" if kind == "file" else None,
            "_links": {"self": url, "git": git_url, "html": html},
        }
        if data is None:
            return shape
        if entry.mode == "120000":
            return shape | {"target": data.decode("utf-8", "replace")}
        large = len(data) > 1_000_000
        return shape | {"content": "" if large else _base64(data), "encoding": "none" if large else "base64"}

    def comparison(
        self,
        basehead: str,
        base: Commit,
        head: Commit,
        common: Commit,
        commits: list[Commit],
        counts: tuple[int, int],
        files: list[FilePatch],
    ) -> Json:
        ahead, behind = counts
        url = f"{self.repo_url}/compare/{quote(basehead, safe='.')}"
        html = f"{self.web}/compare/{quote(basehead, safe='.')}"
        status = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical"
        shape: dict[str, Any] = {
            "url": url,
            "html_url": html,
            "permalink_url": f"{self.web}/compare/{base.sha[:7]}...{head.sha[:7]}",
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "base_commit": self.commit(base),
            "merge_base_commit": self.commit(common),
            "status": status,
            "ahead_by": ahead,
            "behind_by": behind,
            "total_commits": ahead,
            "commits": [self.commit(c) for c in commits],
            "files": [self.file_change(f, head.sha) for f in files],
        }
        return shape


def _base64(data: bytes) -> str:
    """In lines of 60, as GitHub sends it."""
    text = base64.b64encode(data).decode()
    return "".join(f"{text[i : i + 60]}\n" for i in range(0, len(text), 60))
