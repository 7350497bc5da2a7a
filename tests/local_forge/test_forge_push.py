"""Git over HTTP: real fetches and pushes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from forge_world import World

from learner.local_forge import User


def test_clone_push_and_fetch(world: World) -> None:
    work = world.clone("bob")
    sha = world.commit(work, "note", "hello")
    world.git("push", "-q", "origin", "HEAD:refs/heads/mine", cwd=work)
    assert world.repo("rita").get_branch("mine").commit.sha == sha
    other = world.clone("rita", "other")
    assert world.git("rev-parse", "origin/mine", cwd=other).stdout.strip() == sha


def test_an_address_without_dot_git(world: World) -> None:
    url = world.running.git_url("token-of-rita").removesuffix(".git")
    assert "refs/heads/main" in world.git("ls-remote", url).stdout


def test_the_first_push_may_make_main(make_world: Callable[..., World]) -> None:
    world = make_world()
    work = world.clone("ada")
    world.commit(work, "README.md", "# Runbooks\n")
    world.git("push", "-q", "origin", "HEAD:main", cwd=work)
    world.commit(work, "README.md", "# More\n")
    again = world.git("push", "origin", "HEAD:main", cwd=work, ok=False)
    assert again.returncode == 1
    assert "GH006: Protected branch update failed for refs/heads/main." in again.stderr
    assert "protected branch hook declined" in again.stderr


@pytest.mark.parametrize("spec", ["HEAD:main", "+HEAD:main", ":main"])
def test_protected_main_is_closed_to_everybody(world: World, spec: str) -> None:
    work = world.clone("ada")
    before = world.git("rev-parse", "HEAD", cwd=work).stdout.strip()
    world.commit(work, "x", "x")
    pushed = world.git("push", "origin", spec, cwd=work, ok=False)
    assert "protected branch hook declined" in pushed.stderr
    assert world.forge.repo.heads()["main"] == before


def test_one_refused_branch_leaves_the_others(world: World) -> None:
    work = world.clone("bob")
    sha = world.commit(work, "x", "x")
    world.git("push", "origin", "HEAD:main", "HEAD:refs/heads/fine", cwd=work, ok=False)
    assert world.forge.repo.heads()["fine"] == sha
    world.git("push", "--atomic", "origin", "HEAD:main", "HEAD:refs/heads/none", cwd=work, ok=False)
    assert "none" not in world.forge.repo.heads()


def test_refs_of_the_learner(world: World) -> None:
    work = world.clone("bob")
    sha = world.commit(work, "telemetry/acme/one.json", "{}")
    inbox = "refs/learner/inbox/acme/host-1"
    world.git("push", "-q", "origin", f"HEAD:{inbox}", cwd=work)
    assert world.repo("bob").get_git_ref(inbox.removeprefix("refs/")).object.sha == sha
    lease = f"--force-with-lease={inbox}:{'0' * 39}1"
    assert world.git("push", lease, "origin", f":{inbox}", cwd=work, ok=False).returncode == 1
    receipt = "refs/learner/receipts/acme/host-1"
    args = [f"--force-with-lease={inbox}:{sha}", f"--force-with-lease={receipt}:"]
    world.git("push", "-q", "--atomic", *args, "origin", f":{inbox}", f"{sha}:{receipt}", cwd=work)
    assert [ref for ref, _, _ in world.forge.repo.refs("refs/learner/")] == [receipt]


def test_the_forges_own_refs_are_closed(world: World) -> None:
    world.pull()
    work = world.clone("ada")
    pushed = world.git("push", "origin", "HEAD:refs/pull/1/head", cwd=work, ok=False)
    assert "deny updating a hidden ref" in pushed.stderr
    world.git("fetch", "-q", "origin", "refs/pull/1/head", cwd=work)


def test_partial_clones(world: World) -> None:
    work = world.clone("rita", "partial", "--filter=blob:none", "--no-checkout")
    blob = world.forge.repo.entry("main", "runbooks/linux/a.yaml")
    assert blob
    missing = world.git("rev-list", "--objects", "--missing=print", "HEAD", cwd=work).stdout
    assert f"?{blob.sha}" in missing
    world.git("fetch", "-q", "origin", blob.sha, cwd=work)


def test_big_and_gzipped_bodies(world: World) -> None:
    work = world.clone("bob")
    (work / "big").write_bytes(bytes(range(256)) * 4 * 4096)
    for n in range(300):
        world_file = work / "many" / f"{n}.txt"
        world_file.parent.mkdir(exist_ok=True)
        world_file.write_text(f"{n} " * 200)
    sha = world.commit(work, "x", "x")
    world.git("-c", "http.postBuffer=1000", "-c", "core.compression=0", "push", "-q", "origin", "HEAD:big", cwd=work)
    assert world.forge.repo.heads()["big"] == sha
    asked = b"0032want " + sha.encode() + b"\n00000009done\n"
    answer = requests.post(
        f"{world.running.url}/acme/runbooks.git/git-upload-pack",
        data=gzip.compress(asked),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/x-git-upload-pack-request"},
        auth=("bob", "token-of-bob"),
        timeout=30,
    )
    assert answer.status_code == 200
    assert b"PACK" in answer.content[:40]


@pytest.mark.parametrize(
    ("token", "status"),
    [("", 401), ("wrong-token", 401), ("token-of-rita", 403), ("token-of-tim", 403), ("token-of-bob", 200)],
)
def test_who_may_push(world: World, token: str, status: int) -> None:
    url = f"{world.running.url}/acme/runbooks.git/info/refs?service=git-receive-pack"
    answer = requests.get(url, auth=("x", token) if token else None, timeout=10)
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_other_paths_of_the_repository_are_not_served(world: World) -> None:
    base = f"{world.running.url}/acme/runbooks.git"
    for path in ("config", "objects/info/packs", "HEAD", "info/refs", "info/refs?service=git-upload-archive"):
        answer = requests.get(f"{base}/{path}", auth=("x", "token-of-ada"), timeout=10, allow_redirects=False)
        assert answer.status_code in (302, 303, 403, 404), path
    assert (
        requests.get(
            f"{world.running.url}/acme/other.git/info/refs?service=git-upload-pack",
            auth=("x", "token-of-ada"),
            timeout=10,
        ).status_code
        == 404
    )


def test_the_pusher_is_who_signed_in_not_who_the_commit_names(world: World) -> None:
    world.pull()
    work = world.clone("cleo")
    world.git("switch", "-q", "learner/fix-1", cwd=work)
    world.commit(work, "more", "more")  # its committer says bob@example.com
    world.git("push", "-q", "origin", "HEAD", cwd=work)
    assert world.forge.pusher(world.forge.pull(1)) == "cleo"
    assert world.repo("bob").get_pull(1).head.sha == world.git("rev-parse", "HEAD", cwd=work).stdout.strip()


def test_the_committers_address_tells_the_pusher_of_a_push_nobody_saw(world: World) -> None:
    world.pull()
    work = world.clone("cleo")
    world.git("switch", "-q", "learner/fix-1", cwd=work)
    world.commit(work, "more", "more")
    world.git("push", "-q", str(world.forge.repo.path), "HEAD:learner/fix-1", cwd=work)
    world.repo("bob").get_pull(1)
    assert world.forge.pusher(world.forge.pull(1)) == "bob"


def test_a_forced_push_is_told(world: World) -> None:
    world.pull()
    work = world.clone("bob")
    world.commit(work, "other", "way")
    world.git("push", "-q", "--force", "origin", "HEAD:learner/fix-1", cwd=work)
    events = [(e["event"], e["actor"]["login"]) for e in world.call("bob", "GET", "issues/1/events").json()]
    assert events == [("head_ref_force_pushed", "bob")]


def test_a_protected_branch_without_reviews_still_refuses_force(world: World) -> None:
    world.repo("ada").get_branch("main").remove_required_pull_request_reviews()
    work = world.clone("bob")
    first = world.commit(work, "x", "x")
    world.git("push", "-q", "origin", "HEAD:main", cwd=work)
    world.git("reset", "-q", "--hard", "HEAD~1", cwd=work)
    world.commit(work, "y", "y")
    pushed = world.git("push", "--force", "origin", "HEAD:main", cwd=work, ok=False)
    assert "Cannot force-push to this branch" in pushed.stderr
    assert world.forge.repo.heads()["main"] == first


def test_users_with_odd_tokens(make_world: Callable[..., World]) -> None:
    token = "a/b@c:d %e?f#g"
    world = make_world(users=[User("ada", token, "admin")])
    assert world.git("ls-remote", world.running.git_url(token)).returncode == 0


def test_hooks_live_beside_the_state(world: World) -> None:
    names = {p.name for p in Path(world.forge.state_path.with_suffix(".hooks")).iterdir()}
    assert names == {"update", "post-receive"}
    assert not list((world.forge.repo.path / "hooks").glob("[!.]*[!e]"))
