"""The gate, on real Git: only what a person merged runs, signed by whom this host pinned, not too long ago."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from learner.errors import LearnerError, Refused
from learner.executor import gate
from learner.executor.trust import distrust_ssh, signers, trust_gpg
from learner.repository.git import Git
from learner.settings import GateSettings
from tests.executor.conftest import BOT, PERSON, Site, runbook

BOOK = runbook("- {id: a, action: wait, params: {seconds: 0}}")
PATH = "runbooks/linux/RB-LIN-TEST-001.yaml"
NOW = datetime.now(UTC)


def check(site: Site, now: datetime | None = None, **settings: object) -> gate.Approved:
    return gate.check(site.clone, GateSettings(**settings), "RB-LIN-TEST-001", now or datetime.now(UTC))  # type: ignore[arg-type]


def refused(site: Site, now: datetime | None = None, **settings: object) -> str:
    with pytest.raises(Refused) as e:
        check(site, now, **settings)
    assert e.value.hint
    return f"{e.value.message} | {e.value.hint}"


def pinned(site: Site, *keys: Path) -> dict[str, object]:
    file = site.folder / "allowed_signers"
    for key in keys:
        gate.trust_ssh(file, PERSON.email, key.with_suffix(".pub").read_text())
    return {"allowed_signers": str(file)}


def test_a_persons_commit_and_a_persons_merge_of_the_learners_branch_run(site: Site) -> None:
    site.runbook(BOOK)
    first = check(site)
    assert (first.path, first.text.decode(), first.approved_by) == (PATH, BOOK, "Dana Reviewer <dana@acme.example>")
    site.commit({PATH: BOOK.replace("version: 1", "version: 2")}, who=BOT, branch="learner/x")
    merged = site.merge("learner/x")
    site.fetch()
    second = check(site)
    assert (second.commit, b"version: 2" in second.text) == (merged, True)
    assert (
        second.banner
        == f"approved by Dana Reviewer <dana@acme.example> in {merged[:10]} (main is trusted as fetched: no signers pinned)"
    )


@pytest.mark.parametrize("name", ["learner[bot]", "Renovate[BOT]"])
def test_a_bots_commit_on_main_is_refused(site: Site, name: str) -> None:
    from learner.repository.git import Identity

    site.runbook(BOOK, who=Identity(name, "x@example.org"))
    assert "was made by" in refused(site)


def test_the_learner_by_its_address_under_another_name_is_refused(site: Site) -> None:
    from learner.repository.git import Identity

    site.runbook(BOOK, who=Identity("A Person", "Learner[bot]@users.noreply.github.com"))
    assert "not by a person" in refused(site)
    site.runbook(BOOK + "# x\n", who=Identity("A Person", "machine@acme.example"))
    assert check(site).approved_by
    assert "not by a person" in refused(site, learner_emails=("machine@acme.example",))


def test_a_squash_of_the_learners_branch_is_refused_with_the_way_out(site: Site) -> None:
    site.runbook(BOOK)
    site.commit({PATH: BOOK.replace("version: 1", "version: 2")}, who=BOT, branch="learner/x")
    site.merge("learner/x", squash_as=BOT)
    site.fetch()
    assert "merge commits: a squash or rebase carries the learner as its author" in refused(site)


def test_a_file_that_only_a_branch_holds_is_refused(site: Site) -> None:
    site.commit({PATH: BOOK}, branch="learner/x")
    site.clone.run("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
    site.fetch()
    assert "there is no RB-LIN-TEST-001 on main" in refused(site)
    site.clone.run("merge", "--quiet", "origin/learner/x", env=PERSON.environment())
    assert "there is no RB-LIN-TEST-001 on main" in refused(site), "what stands in the work tree counts for nothing"


def test_a_changed_work_tree_counts_for_nothing(site: Site) -> None:
    site.runbook(BOOK)
    site.clone.run("merge", "--quiet", "origin/main")
    (site.clone.path / PATH).write_text("rm -rf /\n")
    assert check(site).text.decode() == BOOK


def test_one_id_in_two_files_is_refused(site: Site) -> None:
    site.runbook(BOOK)
    site.commit({"runbooks/darwin/RB-LIN-TEST-001.yaml": BOOK})
    site.fetch()
    assert "stands twice on main" in refused(site)


def test_a_file_that_was_taken_back_and_brought_again_counts_by_its_last_commit(site: Site) -> None:
    site.runbook(BOOK)
    site.commit({PATH: BOOK + "# changed\n"}, who=BOT)
    last = site.commit({PATH: BOOK})
    site.fetch()
    assert check(site).commit == last


def test_unsigned_is_refused_once_signers_are_pinned(site: Site, keys: tuple[Path, Path]) -> None:
    site.runbook(BOOK)
    assert "carries no signature" in refused(site, **pinned(site, keys[0]))


def test_signed_by_a_pinned_key_runs_and_by_another_is_refused(site: Site, keys: tuple[Path, Path]) -> None:
    dana, mallory = keys
    settings = pinned(site, dana)
    site.runbook(BOOK, sign=dana)
    assert check(site, **settings).signed_by == "dana@acme.example"
    assert "signature of dana@acme.example" in check(site, **settings).banner
    site.runbook(BOOK + "# by mallory\n", sign=mallory)
    assert "is not one this host trusts" in refused(site, **settings)


def test_the_merge_must_be_signed_not_what_was_merged(site: Site, keys: tuple[Path, Path]) -> None:
    settings = pinned(site, keys[0])
    site.commit({PATH: BOOK}, branch="learner/x", sign=keys[0])
    site.merge("learner/x")
    site.fetch()
    assert "carries no signature" in refused(site, **settings)
    site.commit({PATH: BOOK + "# again\n"}, branch="learner/y", who=BOT)
    site.merge("learner/y", sign=keys[0])
    site.fetch()
    assert check(site, **settings).signed_by == "dana@acme.example"


def test_a_key_counts_until_its_last_day(site: Site, keys: tuple[Path, Path]) -> None:
    file = site.folder / "allowed_signers"
    gate.trust_ssh(file, PERSON.email, keys[0].with_suffix(".pub").read_text(), "20200101")
    site.runbook(BOOK, sign=keys[0])
    assert "is not one this host trusts" in refused(site, allowed_signers=str(file))
    (old,) = signers(str(file), None)
    assert (old.name, old.until) == (PERSON.email, "20200101")
    gate.trust_ssh(file, "new@acme.example", keys[0].with_suffix(".pub").read_text())
    assert check(site, allowed_signers=str(file)).signed_by == "new@acme.example"
    assert distrust_ssh(file, "new@acme.example") == 1
    assert "is not one this host trusts" in refused(site, allowed_signers=str(file))


def test_pins_that_can_not_be_read_refuse(site: Site, tmp_path: Path) -> None:
    site.runbook(BOOK)
    assert "can't be read" in refused(site, allowed_signers=str(tmp_path / "none"))


def test_what_is_no_public_key_is_not_pinned(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="no OpenSSH public key"):
        gate.trust_ssh(tmp_path / "signers", "x@y", "-----BEGIN OPENSSH PRIVATE KEY-----")


def test_a_pinned_openpgp_key_counts_and_no_other_keyring(site: Site, gpg: Path, tmp_path: Path) -> None:
    site.commit({PATH: BOOK})
    work = Git(site.folder / "work")
    env = {**PERSON.environment(), "GNUPGHOME": str(gpg)}
    (work.path / PATH).write_text(BOOK + "# signed\n")
    work.run(
        "commit",
        "--quiet",
        "-a",
        "-S",
        "-m",
        "signed",
        env=env,
        config={"user.signingkey": PERSON.email, "gpg.format": "openpgp"},
    )
    work.run("push", "--quiet", "origin", "main")
    site.fetch()
    public = subprocess.run(
        ["gpg", "--homedir", str(gpg), "--armor", "--export"], capture_output=True, text=True, check=True
    ).stdout
    home = tmp_path / "pinned"
    (fingerprint,) = trust_gpg(home, public)
    assert check(site, gpg_home=str(home)).signed_by == "Dana <dana@acme.example>"
    (signer,) = signers(None, str(home))
    assert (signer.kind, signer.key, signer.name) == ("gpg", fingerprint, "Dana <dana@acme.example>")
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    assert "is not one this host trusts" in refused(site, gpg_home=str(empty))
    with pytest.raises(LearnerError, match="fingerprint that is expected"):
        trust_gpg(tmp_path / "picky", public, ("0" * 40,))
    assert signers(None, str(tmp_path / "picky")) == ()


def test_a_stale_fetch_is_refused(site: Site) -> None:
    site.runbook(BOOK)
    assert check(site, NOW + timedelta(hours=23)).path
    assert re.search(r"last fetched main 2[45]\.\d h ago; 24 h are allowed", refused(site, NOW + timedelta(hours=25)))
    assert check(site, NOW + timedelta(hours=25), max_age_hours=48.0).path


def test_a_fetch_in_the_future_or_none_at_all_is_refused(site: Site) -> None:
    site.runbook(BOOK)
    assert "lies in the future" in refused(site, NOW - timedelta(hours=1))
    (site.clone.path / ".git/learner-fetched.json").write_text("{}")
    assert "not known when main was last fetched" in refused(site)
    (site.clone.path / ".git/learner-fetched.json").unlink()
    assert "learner gate fetch" in refused(site)


def test_a_clone_whose_history_is_cut_says_so(site: Site) -> None:
    site.commit({PATH: BOOK})
    site.commit({"other": "x"})
    shutil.rmtree(site.clone.path)
    Git(site.folder).run("clone", "--quiet", "--depth", "1", f"file://{site.bare.path}", "clone")
    site.fetch()
    assert "before the commit that brought it | fetch the whole history: `git fetch --unshallow`" in refused(site)
    site.clone.run("fetch", "--quiet", "--unshallow", "origin")
    site.fetch()
    assert check(site).path == PATH


def test_a_clone_without_main_says_so(site: Site) -> None:
    site.clone.run("update-ref", "-d", "refs/remotes/origin/main")
    assert "there is no origin/main" in refused(site)


def test_a_replaced_object_does_not_change_what_is_approved(site: Site) -> None:
    site.runbook(BOOK)
    blob = site.clone.text("rev-parse", f"origin/main:{PATH}")
    other = site.clone.text("hash-object", "-w", "--stdin", stdin=b"id: RB-EVIL\n")
    site.clone.run("replace", blob, other)
    assert check(site).text.decode() == BOOK


def test_origins_lists_what_brought_every_runbook(site: Site) -> None:
    site.runbook(BOOK)
    site.commit(
        {"runbooks/linux/RB-LIN-OTHER-001.yaml": BOOK.replace("TEST", "OTHER"), "runbooks/patterns/p.yaml": "x: 1\n"},
        who=BOT,
    )
    site.fetch()
    found = {origin.path: origin.is_machine for origin in gate.origins(site.clone, GateSettings())}
    assert found == {PATH: False, "runbooks/linux/RB-LIN-OTHER-001.yaml": True}


def test_fetch_notes_when_and_what(site: Site) -> None:
    tip = site.commit({"x": "y"})
    site.fetch(NOW)
    held = json.loads((site.clone.path / ".git/learner-fetched.json").read_text())
    assert held == {"fetched_at": NOW.isoformat(), "main": tip}
