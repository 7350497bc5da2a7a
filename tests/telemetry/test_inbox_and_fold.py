from __future__ import annotations

import json

import pytest

from learner.errors import GitError, LearnerError
from learner.repository import refs
from learner.repository.git import Git, init
from learner.repository.objects import commit
from learner.repository.refs import Update
from learner.telemetry import inbox
from learner.telemetry.parse import encoded
from tests.telemetry.conftest import NOW, WHO, World, numbered


def inject(world: World, client: str, executor: str, files: dict[str, bytes]) -> None:
    """An inbox written by a program that is not ours."""
    git = world.clone("stranger")
    made = commit(git, files, ref="refs/x", parent=None, message="m\n", author=WHO, when=NOW)
    assert refs.push(git, "origin", [Update(f"refs/learner/inbox/{client}/{executor}", made, None)]) == ()


def test_a_result_travels_from_spool_to_telemetry_and_the_spool_is_purged_by_the_receipt(world: World) -> None:
    for number in range(3):
        world.spool("web-1").add(numbered(number))
    assert world.push("web-1") == inbox.Pushed(sent=3, acknowledged=0, remaining=3)
    folded = world.fold()
    assert (folded.results, folded.quarantined, folded.left) == (3, (), ())
    assert folded.commit == world.remote.resolve("telemetry")
    assert world.refs("inbox") == {}
    assert list(world.refs("receipts")) == ["refs/learner/receipts/acme/web-1"]
    assert world.files()[numbered(1).path] == encoded(numbered(1))
    assert world.push("web-1") == inbox.Pushed(sent=0, acknowledged=3, remaining=0)


def test_what_waits_in_the_inbox_is_not_sent_again(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    before = world.refs("inbox")
    assert world.push("web-1") == inbox.Pushed(sent=0, acknowledged=0, remaining=1)
    assert world.refs("inbox") == before
    world.spool("web-1").add(numbered(2))
    assert world.push("web-1").sent == 1
    assert world.fold().results == 2


def test_a_push_asks_the_remote_first_only_where_a_fold_may_have_been(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")

    def steps(number: int) -> list[str]:
        world.spool("web-1").add(numbered(number))
        heard: list[str] = []
        assert world.push("web-1", step=heard.append).sent == 1
        return heard

    assert steps(2) == ["committed", "pushed"]
    assert world.fold().results == 2
    assert steps(3) == ["committed", "pushed", "looked", "purged", "committed", "pushed"]
    assert [entry.execution_id for entry in world.spool("web-1").pending()] == ["exec-20261122-0003"]
    assert steps(4) == ["committed", "pushed"]
    assert world.fold().results == 2


def test_what_was_committed_but_never_arrived_is_sent_with_the_next(world: World) -> None:
    world.spool("web-1").add(numbered(1))

    def cut(step: str) -> None:
        if step == "committed":
            world.remote.path.rename(world.path / "away")

    with pytest.raises(GitError):
        world.push("web-1", step=cut)
    (world.path / "away").rename(world.remote.path)
    world.spool("web-1").add(numbered(2))
    assert world.push("web-1").sent == 2
    assert world.fold().results == 2


def test_a_week_offline_is_caught_up_in_batches(world: World) -> None:
    for number in range(25):
        world.spool("web-1").add(numbered(number))
    commits: list[str] = []
    assert world.push("web-1", batch=10, step=commits.append).sent == 25
    assert commits.count("pushed") == 3
    assert world.fold().results == 25


def test_an_append_takes_neither_history_nor_a_checkout(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    world.fold()
    world.push("web-1")
    world.spool("web-2").add(numbered(2))
    world.push("web-2")
    host = world.clone("web-2")
    assert not host.resolve("refs/remotes/origin/telemetry")
    assert [p.name for p in host.path.iterdir()] == [".git"]
    # the objects of one result: five folders, a commit, a blob
    assert len(host.text("cat-file", "--batch-check", "--batch-all-objects").splitlines()) == 8


def test_an_inbox_deleted_without_a_receipt_loses_nothing(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    world.remote.run("update-ref", "-d", "refs/learner/inbox/acme/web-1")
    assert world.fold().results == 0
    assert world.push("web-1").sent == 1
    assert world.fold().results == 1


def test_two_hosts_of_one_name_lose_nothing_and_double_nothing(world: World) -> None:
    for host in ("one", "two"):
        world.spool(host).add(numbered({"one": 1, "two": 2}[host]))

    def push(host: str) -> inbox.Pushed:
        return inbox.push(
            world.spool(host), world.clone(host), "origin", client_id="acme", executor_id="web", author=WHO, now=NOW
        )

    assert push("one").sent == 1
    assert push("two").sent == 1
    assert world.fold().results == 2
    assert push("two") == inbox.Pushed(0, 1, 0)
    assert push("one") == inbox.Pushed(0, 1, 0)
    assert world.results() == ["exec-20261122-0001", "exec-20261122-0002"]


def test_a_host_set_up_anew_with_its_old_spool_doubles_nothing(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    world.fold()
    fresh = world.clone("reinstalled")
    pushed = inbox.push(
        world.spool("web-1"), fresh, "origin", client_id="acme", executor_id="web-1", author=WHO, now=NOW
    )
    assert pushed == inbox.Pushed(sent=0, acknowledged=1, remaining=0)


def test_the_same_result_twice_is_one(world: World) -> None:
    for host in ("web-1", "relay"):
        world.spool(host).add(numbered(1))
        world.push(host)
    assert world.fold().results == 1
    world.spool("web-3").add(numbered(1))
    world.push("web-3")
    before = world.remote.resolve("telemetry")
    folded = world.fold()
    assert (folded.results, folded.quarantined) == (0, ())
    assert world.remote.resolve("telemetry") == before
    assert world.push("web-3").acknowledged == 1


@pytest.mark.parametrize("together", [True, False])
def test_one_id_with_two_contents_goes_to_quarantine(world: World, together: bool) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    if not together:
        world.fold()
    world.spool("web-2").add(numbered(1, notes="other", started_at="2026-11-21T23:59:59Z"))
    world.push("web-2")
    folded = world.fold()
    assert [one.reason for one in folded.quarantined] == [
        f"another result with this id lies at {numbered(1).path}"
        if not together
        else "another result with this id lies at telemetry/acme/2026/11/22/exec-20261122-0001.json"
    ]
    assert world.results() == ["exec-20261122-0001"]
    assert world.push("web-2").remaining == 0


def test_what_is_refused_lies_in_quarantine_with_its_reason_and_the_rest_goes_on(world: World) -> None:
    good = numbered(1)
    files = {
        good.path: encoded(good),
        "telemetry/acme/2026/11/22/exec-20261122-0002.json": b"{not json",
        "telemetry/acme/2026/11/23/exec-20261122-0003.json": encoded(numbered(3)),
        "telemetry/other/2026/11/22/exec-20261122-0004.json": encoded(numbered(4, client_id="other")),
        "telemetry/acme/2026/11/22/exec-20261122-0005.json": b" " * 2_000_000,
        "notes/readme": b"hello",
    }
    inject(world, "acme", "odd", files)
    folded = world.fold()
    assert folded.results == 1
    reasons = {one.path: one.reason for one in folded.quarantined}
    assert set(reasons) == set(files) - {good.path}
    assert "client other" in reasons["telemetry/other/2026/11/22/exec-20261122-0004.json"]
    assert "belongs at" in reasons["telemetry/acme/2026/11/23/exec-20261122-0003.json"]
    held = world.files()
    bad = "quarantine/telemetry/acme/2026/11/22/exec-20261122-0002.json"
    assert held[bad] == b"{not json"
    assert json.loads(held[f"{bad}.reason.json"])["executor_id"] == "odd"
    assert world.results() == ["exec-20261122-0001"]
    # the same again is neither doubled nor told again
    before = world.remote.resolve("telemetry")
    inject(world, "acme", "odd", files)
    assert world.fold().quarantined == ()
    assert world.remote.resolve("telemetry") == before


def test_quarantine_overwrites_nothing(world: World) -> None:
    path = "telemetry/acme/2026/11/22/exec-20261122-0002.json"
    for number in range(3):
        inject(world, "acme", f"odd{number}", {path: b"bad %d" % number})
        world.fold()
    contents = {
        content
        for name, content in world.files().items()
        if name.endswith("json") and not name.endswith(".reason.json")
    }
    assert contents == {b"bad 0", b"bad 1", b"bad 2"}


def test_a_symlink_is_no_result(world: World) -> None:
    git = world.clone("stranger")
    blob = git.text("hash-object", "-w", "--stdin", stdin=b"/etc/passwd")
    stream = (
        b"commit refs/x\nmark :1\ncommitter a <a@b> 0 +0000\ndata 0\n"
        b"M 120000 %s telemetry/acme/2026/11/22/exec-20261122-0002.json\n" % blob.encode()
    )
    git.run("fast-import", "--quiet", stdin=stream)
    git.run("push", "-q", "origin", "refs/x:refs/learner/inbox/acme/odd")
    folded = world.fold()
    assert "no plain file" in folded.quarantined[0].reason
    assert all(not name.endswith("0002.json") for name in world.files())


def test_a_ref_that_is_no_inbox_is_left_alone_and_told(world: World) -> None:
    git = world.clone("stranger")
    blob = git.text("hash-object", "-w", "--stdin", stdin=b"x")
    git.run("push", "-q", "origin", f"{blob}:refs/learner/inbox/acme/blob")
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    folded = world.fold()
    assert folded.results == 1
    assert folded.left == ("refs/learner/inbox/acme/blob",)


def test_two_folders_at_once_are_safe(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    raced: list[int] = []

    def other(step: str) -> None:
        if step == "committed" and not raced:
            raced.append(1)
            assert world.fold("second").results == 1

    folded = world.fold(step=other)
    assert raced
    assert folded.results == 0
    assert folded.left == ()
    assert world.results() == ["exec-20261122-0001"]


def test_an_append_during_a_fold_is_read_again(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    appended: list[int] = []

    def append(step: str) -> None:
        if step == "committed" and not appended:
            appended.append(1)
            world.spool("web-1").add(numbered(2))
            world.push("web-1")

    assert world.fold(step=append).results == 2
    assert world.push("web-1").acknowledged == 2


def test_a_race_lost_twice_is_left_for_the_next_run(world: World) -> None:
    world.spool("web-1").add(numbered(0))
    world.push("web-1")
    numbers = iter(range(1, 10))

    def append(step: str) -> None:
        if step == "committed":
            world.spool("web-1").add(numbered(next(numbers)))
            world.push("web-1")

    folded = world.fold(step=append)
    assert folded.results == 0
    assert folded.left == ("refs/learner/inbox/acme/web-1",)
    assert world.fold().results == 3


def test_a_fold_during_an_append_is_read_again(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    world.spool("web-1").add(numbered(2))
    folded: list[int] = []

    def fold(step: str) -> None:
        if step == "committed" and not folded:
            folded.append(world.fold().results)

    pushed = world.push("web-1", step=fold)
    assert folded == [1]
    assert (pushed.sent, pushed.acknowledged) == (1, 1)
    assert world.fold().results == 1


def test_nothing_to_fold_is_nothing_done(world: World) -> None:
    assert world.fold().commit is None
    assert world.remote.text("for-each-ref") == ""


def test_a_prefix_below_heads_works_for_hosts_that_take_branches_alone(world: World) -> None:
    from tests.telemetry.conftest import SETTINGS

    prefix = "refs/heads/learner-refs"
    world.spool("web-1").add(numbered(1))

    def push() -> inbox.Pushed:
        return inbox.push(
            world.spool("web-1"),
            world.clone("web-1"),
            str(world.remote.path),
            client_id="acme",
            executor_id="web-1",
            prefix=prefix,
            author=WHO,
            now=NOW,
        )

    push()
    assert world.fold(settings=SETTINGS.model_copy(update={"ref_prefix": prefix})).results == 1
    assert push().acknowledged == 1


@pytest.mark.parametrize("name", ["a..b", "host.lock", "host."])
def test_a_name_that_git_can_not_hold_is_refused_in_one_line(world: World, name: str) -> None:
    with pytest.raises(LearnerError, match="can't be part of a ref"):
        world.push(name)


def test_a_result_of_another_client_is_set_aside(world: World) -> None:
    world.spool("web-1").add(numbered(1, client_id="other"))
    assert world.push("web-1").remaining == 0
    assert "client other" in world.spool("web-1").quarantined()[0].reason


def test_no_remote_leaves_the_spool_as_it_is(world: World) -> None:
    git = init(world.path / "lonely")
    world.spool("web-1").add(numbered(1))
    with pytest.raises(GitError):
        inbox.push(
            world.spool("web-1"),
            git,
            str(world.path / "nowhere.git"),
            client_id="acme",
            executor_id="web-1",
            author=WHO,
            now=NOW,
        )
    assert len(world.spool("web-1").pending()) == 1


def test_a_refusing_hook_is_an_error_not_a_race(world: World) -> None:
    hook = world.remote.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'no key for this' >&2\nexit 1\n")
    hook.chmod(0o755)
    world.spool("web-1").add(numbered(1))
    with pytest.raises(GitError, match="pre-receive hook declined"):
        world.push("web-1")
    assert len(world.spool("web-1").pending()) == 1


def test_git_of_a_bare_remote_needs_no_clone(world: World) -> None:
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    from learner.telemetry import fold as folding
    from tests.telemetry.conftest import SETTINGS

    folded = folding.fold(Git(world.remote.path), ".", settings=SETTINGS, author=WHO, now=NOW)
    assert folded.results == 1


def test_an_executor_may_be_held_to_a_list_of_hosts(world: World) -> None:
    from tests.telemetry.conftest import SETTINGS

    limited = SETTINGS.model_copy(update={"hosts": {"acme/web-*": ("web-1", "db-*")}})
    for number, host in enumerate(["web-1", "db-7", "mail-1"]):
        world.spool("web-9").add(numbered(number, hostname=host))
        world.spool("free").add(numbered(number + 10, hostname=host))
    world.push("web-9")
    world.push("free")
    folded = world.fold(settings=limited)
    assert folded.results == 5
    assert [one.reason for one in folded.quarantined] == ["host mail-1 is none that executor web-9 may report"]


def test_an_inbox_without_end_stops_nobody(world: World) -> None:
    git = world.clone("stranger")
    oid, kind = git.text("hash-object", "-w", "--stdin", stdin=b"x"), "100644 blob"
    for _ in range(8):  # eight trees, 20^8 paths
        lines = "".join(f"{kind} {oid}\tn{n}\n" for n in range(20))
        oid, kind = git.text("mktree", stdin=lines.encode()), "040000 tree"
    made = git.text("commit-tree", oid, "-m", "bomb", env=WHO.environment())
    git.run("push", "-q", "origin", f"{made}:refs/learner/inbox/acme/bomb")
    world.spool("web-1").add(numbered(1))
    world.push("web-1")
    folded = world.fold()
    assert (folded.results, folded.left) == (1, ("refs/learner/inbox/acme/bomb",))
