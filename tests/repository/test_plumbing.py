"""Blobs, trees, commits and refs without a checkout, against what git itself says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner.errors import GitError
from learner.repository import refs
from learner.repository.batch import changed, in_pack_order, objects, parse_tree, stream, tree_files
from learner.repository.git import EMPTY_TREE, Git, Identity, init
from learner.repository.objects import blob_id, commit, tidy
from learner.repository.refs import Update

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
WHO = Identity("A <b>\n", "a@example.org")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return init(tmp_path / "r.git", bare=True)


def made(git: Git, files: dict[str, bytes | str | None], parent: str | None = None, ref: str = "refs/x") -> str:
    return commit(git, files, ref=ref, parent=parent, message="m\n", author=WHO, when=NOW)


NAMES = st.text(
    alphabet=st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name.strip(".") and not name.lower().startswith((".git", "git~")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, st.binary(max_size=60), min_size=1, max_size=5))
def test_what_is_committed_is_there_byte_for_byte(git: Git, files: dict[str, bytes]) -> None:
    tip = made(git, {f"dir/{name}": content for name, content in files.items()})
    read = {path: git.run("cat-file", "blob", oid) for path, oid in git.listing(tip).items()}
    assert read == {f"dir/{name}": content for name, content in files.items()}


@given(content=st.binary(max_size=200))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_blob_has_the_id_git_gives_it(git: Git, content: bytes) -> None:
    assert blob_id(content) == git.text("hash-object", "--stdin", stdin=content)


def test_a_commit_says_who_and_when_and_is_whole(git: Git) -> None:
    tip = made(git, {"a/b": b"1"})
    assert git.text("log", "-1", "--format=%an|%ae|%aI|%s", tip) == "A b|a@example.org|2026-11-22T06:00:00+00:00|m"
    git.run("fsck", "--strict")


def test_many_small_commits_are_packed_anew_when_they_have_become_many(git: Git) -> None:
    tip = None

    def packs() -> int:
        return len(list((git.path / "objects" / "pack").glob("*.pack")))

    for number in range(52):
        tip = made(git, {f"a/{number}": b"%d" % number}, tip)
        if number == 20:
            tidy(git)
            assert packs() == 21
    tidy(git)
    assert packs() < 5
    assert len(git.listing(tip or "")) == 52


def test_changes_lie_over_the_parent(git: Git) -> None:
    first = made(git, {"a/1": b"1", "a/2": b"2", "b": b"3"})
    blob = git.listing(first)["a/1"]
    second = made(git, {"a/2": None, "c/d": blob, "b": b"4"}, first)
    assert {path: git.blob(second, path) for path in git.listing(second)} == {"a/1": b"1", "b": b"4", "c/d": b"1"}
    assert git.text("rev-parse", f"{second}^") == first
    assert [(one.status, one.path) for one in changed(git, first, second, "a/")] == [("D", "a/2")]
    assert [one.status for one in changed(git, first, second, ".")] == ["D", "M", "A"]


def test_a_stream_keeps_names_and_tells_what_is_missing(git: Git) -> None:
    tip = made(git, {"a b": b"one\n", "c": b"", "d": b"\0" * 70_000})
    files = list(tree_files(git, tip))
    assert dict(stream(git, files)) == {"a b": b"one\n", "c": b"", "d": b"\0" * 70_000}
    gone = "1" * 40
    assert list(stream(git, [("x", gone), ("c", dict(files)["c"]), ("tree", EMPTY_TREE)]))[1] == ("c", b"")
    assert [content for _, content in stream(git, [("x", gone)])] == [None]
    assert list(stream(git, [])) == []


def test_a_stream_may_be_left_early(git: Git) -> None:
    tip = made(git, {f"{n}": b"x" * 50_000 + b"%d" % n for n in range(200)})
    for _, content in stream(git, tree_files(git, tip)):
        assert content
        break


def test_pack_order_leaves_nothing_out(git: Git) -> None:
    tip = made(git, {f"{n:05}": b"%d" % (n % 2500) for n in range(3000)})
    files = list(tree_files(git, tip))
    ordered = list(in_pack_order(git, files))
    assert sorted(ordered) == sorted(files)
    assert list(in_pack_order(git, files[:10])) == files[:10]


def test_single_questions(git: Git) -> None:
    tip = made(git, {"a/b/c": b"1", "a/d": b"2"})
    with objects(git) as reader:
        assert [path for path, _ in reader.files(tip)] == ["a/b/c", "a/d"]
        assert [(path, entry.mode) for path, entry in reader.files(tip, depth=1)] == [("a", "40000")]
        assert reader.info(f"{tip}:a/d")
        assert reader.info(f"{tip}:nothing here") is None
        assert reader.info("with\nnewline") is None
        found = reader.read(f"{tip}:a/b/c")
        assert found
        assert (found.kind, found.content) == ("blob", b"1")
        assert reader.tree("1" * 40) == []
        assert [entry.name for entry in reader.tree(f"{tip}:a")] == ["b", "d"]
        assert reader.tree(f"{tip}:a/d") == []


def test_a_tree_is_read_as_git_wrote_it(git: Git) -> None:
    tip = made(git, {"a/b": b"1", "é": b"2"})
    raw = git.run("cat-file", "tree", f"{tip}^{{tree}}")
    assert [(entry.mode, entry.name) for entry in parse_tree(raw)] == [("40000", "a"), ("100644", "é")]


def test_refs_move_all_or_none(tmp_path: Path, git: Git) -> None:
    clone = init(tmp_path / "clone")
    remote = str(git.path)
    first, second = made(clone, {"a": b"1"}), made(clone, {"a": b"2"})
    assert refs.push(clone, remote, [Update("refs/learner/a", first, None), Update("refs/heads/b", first, None)]) == ()
    lost = refs.push(clone, remote, [Update("refs/learner/a", second, first), Update("refs/heads/b", second, second)])
    assert "refs/heads/b" in lost
    assert refs.advertised(clone, remote, "refs/learner/*", "refs/heads/b") == {
        "refs/learner/a": first,
        "refs/heads/b": first,
    }
    assert (
        refs.push(clone, remote, [Update("refs/learner/a", None, first), Update("refs/heads/b", second, first)]) == ()
    )
    assert refs.advertised(clone, remote, "refs/*") == {"refs/heads/b": second}
    assert refs.push(clone, remote, [Update("refs/heads/b", first, None)]) == ("refs/heads/b",)


def test_private_names_tell_remotes_apart_and_no_secrets() -> None:
    assert refs.private("https://me:secret@host/x", "a") == refs.private("https://host/x", "a")
    assert refs.private("origin", "a") != refs.private("other", "a")


def test_a_remote_that_is_not_there_is_an_error(git: Git, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="git push"):
        refs.push(git, str(tmp_path / "nowhere"), [Update("refs/x", made(git, {"a": b"1"}), None)])
