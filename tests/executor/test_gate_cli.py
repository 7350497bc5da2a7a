"""`learner gate`: what may run here and why, the pins, and the audit against a real forge."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from learner.cli import run as cli_run
from learner.cli.gate import command
from learner.executor.trust import keys_in
from learner.local_forge import Forge, User, serve
from learner.repository.git import Git
from tests.executor.conftest import BOT, PERSON, Site, runbook

BOOK = runbook("- {id: a, action: wait, params: {seconds: 0}}")
PATH = "runbooks/linux/RB-LIN-TEST-001.yaml"


def gate(site: Site, *words: str, stdin: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(command, [*words, "--host-config", str(site.config)], input=stdin, standalone_mode=False)
    if done.exception:
        return getattr(
            done.exception, "exit_code", 70
        ), f"{done.output}{done.exception!r} {getattr(done.exception, 'hint', '')}"
    return done.return_value or 0, done.output


def test_check_says_yes_and_why_and_no_and_why_not(site: Site) -> None:
    site.runbook(BOOK)
    code, said = gate(site, "check", "RB-LIN-TEST-001", "--json")
    held = json.loads(said)
    assert (code, held["may_run"], held["approved_by"], held["signed_by"]) == (
        0,
        True,
        "Dana Reviewer <dana@acme.example>",
        None,
    )
    site.runbook(BOOK + "# by a machine\n", who=BOT)
    code, said = gate(site, "check", "RB-LIN-TEST-001")
    assert (code, "not by a person" in said) == (10, True)


def test_fetch_brings_main(site: Site) -> None:
    tip = site.commit({PATH: BOOK})
    assert gate(site, "fetch") == (0, f"origin/main is at {tip}\n")


def test_a_key_is_pinned_listed_rotated_and_taken_off(site: Site, keys: tuple[Path, Path]) -> None:
    dana, mallory = (key.with_suffix(".pub") for key in keys)
    assert "no signers are pinned" in gate(site, "trusted")[1]
    code, said = gate(site, "trust", "ssh", "--key", str(dana), "--principal", PERSON.email)
    assert (code, f"{site.config} names it now" in said) == (0, True)
    site.runbook(BOOK)
    assert gate(site, "check", "RB-LIN-TEST-001")[0] == 10
    site.runbook(BOOK + "# signed\n", sign=keys[0])
    assert "signature of dana@acme.example" in gate(site, "check", "RB-LIN-TEST-001")[1]
    assert "that is the last pinned signer" in gate(site, "distrust", PERSON.email)[1]
    assert (
        gate(
            site, "trust", "ssh", "--key", str(mallory), "--principal", "new@acme.example", "--valid-before", "20300101"
        )[0]
        == 0
    )
    listed = json.loads(gate(site, "trusted", "--json")[1])
    assert [(one["name"], one["until"]) for one in listed] == [(PERSON.email, None), ("new@acme.example", "20300101")]
    assert gate(site, "distrust", PERSON.email)[0] == 0
    assert gate(site, "check", "RB-LIN-TEST-001")[0] == 10


def test_wrong_pins_are_told(site: Site, keys: tuple[Path, Path]) -> None:
    assert gate(site, "trust", "ssh")[0] == 2
    assert gate(site, "trust", "nonsense")[0] == 2
    assert gate(site, "trust", "ssh", "--key", str(keys[0]), "--principal", "x@y")[0] == 1
    assert "learner gate trusted" in gate(site, "distrust", "nobody")[1]


@pytest.fixture
def offered(gpg: Path, tmp_path: Path) -> tuple[Path, str]:
    """A file with a public key, as GitHub would give it, and its fingerprint."""
    file = tmp_path / "web-flow.gpg"
    export = ["gpg", "--homedir", str(gpg), "--armor", "--export"]
    file.write_text(subprocess.run(export, capture_output=True, text=True, check=True).stdout)
    (key,) = keys_in(file.read_text())
    return file, key.fingerprint


def test_githubs_key_is_pinned_by_a_persons_word_and_never_by_the_network(
    site: Site, offered: tuple[Path, str]
) -> None:
    file, fingerprint = offered
    code, said = gate(site, "trust", "github.com", "--key", str(file), stdin="y\n")
    assert code == 10  # standard input is no terminal: nobody can be asked
    assert "NOT a key known here" in said
    assert " ".join(re.findall("....", fingerprint)) in said
    assert f"--fingerprint {fingerprint}" in said
    assert "no signers are pinned" in gate(site, "trusted")[1]
    code, said = gate(site, "trust", "github.com", "--key", str(file), "--fingerprint", "0" * 40)
    assert (code, fingerprint in said) == (1, True)
    assert "no signers are pinned" in gate(site, "trusted")[1]
    spaced = " ".join(re.findall("....", fingerprint.lower()))
    assert gate(site, "trust", "github.com", "--key", str(file), "--fingerprint", spaced)[0] == 0
    assert fingerprint in gate(site, "trusted")[1]


@pytest.mark.parametrize(("answer", "pinned"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_the_person_is_asked(site: Site, offered: tuple[Path, str], answer: str, pinned: bool) -> None:
    file, fingerprint = offered
    argv = [
        sys.executable,
        "-m",
        "learner",
        "gate",
        "trust",
        "github.com",
        "--key",
        str(file),
        "--host-config",
        str(site.config),
    ]
    pid, screen = os.forkpty()
    if pid == 0:
        os.execv(sys.executable, argv)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(screen, 4096)
    os.write(screen, f"{answer}\n".encode())
    with contextlib.suppress(OSError):  # Linux says EIO when the other end is closed
        while os.read(screen, 4096):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (0 if pinned else 10)
    os.close(screen)
    assert (fingerprint in gate(site, "trusted")[1]) is pinned


@pytest.fixture
def forged(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The site's repository behind a local forge, with a person, the learner and another machine."""
    users = [User("dana", "token-dana", "admin", "User", PERSON.name, PERSON.email),
             User("learner[bot]", "token-learner", "write", "Bot", BOT.name, BOT.email)]  # fmt: skip
    site.commit({".github/learner.yml": "forge: {repository: acme/runbooks}\n"})
    with serve(Forge(site.bare.path, users, "acme/runbooks")) as running:
        monkeypatch.setenv("GITHUB_API_URL", running.api_url)
        monkeypatch.setenv("LEARNER_TOKEN", "token-dana")
        yield running


def test_the_audit_names_who_brought_approved_and_merged_everything(
    site: Site, forged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    import requests

    def call(who: str, method: str, path: str, **body: Any) -> Any:
        url = f"{forged.api_url}/repos/acme/runbooks/{path}"
        answer = requests.request(
            method, url, json=body or None, headers={"Authorization": f"Bearer token-{who}"}, timeout=30
        )
        assert answer.ok, answer.text
        return answer.json()

    site.commit({PATH: BOOK}, who=BOT, branch="learner/x")
    pull = call("learner", "POST", "pulls", title="RB-LIN-TEST-001 v1: x", head="learner/x", base="main", body="")
    call("dana", "POST", f"pulls/{pull['number']}/reviews", event="APPROVE", body="read")
    call("dana", "PUT", f"pulls/{pull['number']}/merge", merge_method="merge")
    site.fetch()
    code, said = gate(site, "audit", "--json")
    assert code == 0, said
    (row,) = json.loads(said[said.index("{") :])["runbooks"]
    assert (row["pull_request"], row["approved_by"], row["merged_by"]) == (pull["number"], ["dana"], "dana")

    Git(site.folder / "work").run("pull", "--quiet", "origin", "main")
    site.commit({"runbooks/linux/RB-LIN-OTHER-001.yaml": BOOK.replace("TEST", "OTHER")})
    site.fetch()
    code, said = gate(site, "audit")
    assert code == 10
    assert "no person approved runbooks/linux/RB-LIN-OTHER-001.yaml" in said
    assert "without a pull request" in said
    assert cli_run(["gate", "audit", "--host-config", str(site.config)]) == 10
    assert "RB-LIN-OTHER-001" in capsys.readouterr().out
