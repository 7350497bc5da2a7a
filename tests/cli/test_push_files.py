"""`learner telemetry push FILE…`: for executors that are not written in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from learner.cli.telemetry import command
from learner.errors import LearnerError
from learner.repository.git import Git, Identity, init
from learner.settings import HostSettings
from tests.samples import document

SECRET = "s3cr/t hunter2"


@pytest.fixture
def bare(tmp_path: Path) -> Git:
    work = init(tmp_path / "work")
    author = Identity("Dana", "dana@acme.example").environment()
    work.run("commit", "--quiet", "--allow-empty", "-m", "Begin", env=author)
    work.run("clone", "--quiet", "--bare", str(work.path), str(tmp_path / "bare.git"))
    work.run("clone", "--quiet", str(tmp_path / "bare.git"), str(tmp_path / "clone"))
    return Git(tmp_path / "bare.git")


@pytest.fixture
def host(bare: Git, tmp_path: Path) -> Path:
    file = tmp_path / "host.yml"
    settings = {"client_id": "acme", "executor_id": "web-1", "repository": str(tmp_path / "clone"),
                "spool": str(tmp_path / "spool"), "redact": ["ticket-[0-9]+"]}  # fmt: skip
    HostSettings.model_validate_json(json.dumps(settings))
    file.write_text(json.dumps(settings))
    return file


def push(host: Path, *words: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, ["push", "--host-config", str(host), *map(str, words)], input=stdin)


def arrived(bare: Git) -> dict[str, dict[str, Any]]:
    """What the inbox holds, by execution id."""
    listed = bare.listing("refs/learner/inbox/acme/web-1", "telemetry/")
    found = [json.loads(bare.run("cat-file", "blob", blob)) for blob in listed.values()]
    return {one["execution_id"]: one for one in found}


def result(number: int, **fields: Any) -> dict[str, Any]:
    return document(execution_id=f"exec-20261122-{number:04d}", **fields)


def test_a_document_is_checked_masked_kept_and_sent_in_one_go(
    host: Path, bare: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    file = tmp_path / "run.json"
    file.write_text(json.dumps(result(1, notes=f"ticket-77: tried {SECRET}", an_extra=1), indent=2))
    done = push(host, file, "--secret-env", "DB_PASSWORD", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["taken"], said["sent"], said["skipped"], said["remaining"]) == (1, 1, [], 1)
    assert arrived(bare)["exec-20261122-0001"]["notes"] == "***: tried ***"
    held = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    assert held
    assert b"hunter2" not in held
    again = push(host, file, "--secret-env", "DB_PASSWORD")
    assert again.stdout == "1 taken, 0 sent, 0 acknowledged, 1 in the spool\n"
    assert len(arrived(bare)) == 1


@pytest.mark.parametrize("way", ["one document", "set out", "lines", "lines in a .json file"])
def test_standard_input_and_files_by_what_they_hold(host: Path, bare: Git, tmp_path: Path, way: str) -> None:
    text = {
        "one document": json.dumps(result(1)),
        "set out": json.dumps(result(1), indent=4),
        "lines": "\n".join(json.dumps(result(n)) for n in (1, 2)) + "\n\n",
        "lines in a .json file": "\n".join(json.dumps(result(n)) for n in (1, 2)),
    }[way]
    if "file" in way:
        (tmp_path / "runs.json").write_text(text)
        done = push(host, tmp_path / "runs.json")
    else:
        done = push(host, "-", stdin=text.encode())
    assert done.exit_code == 0, done.output
    assert len(arrived(bare)) == (2 if "lines" in way else 1)


def test_what_is_wrong_is_named_with_its_line_and_the_rest_goes(host: Path, bare: Git, tmp_path: Path) -> None:
    lines = [
        json.dumps(result(1)),
        "",
        '{"execution_id": ',
        json.dumps(result(2, client_id="other")),
        json.dumps(result(3)),
    ]
    (tmp_path / "runs.jsonl").write_text("\n".join(lines) + "\n")
    whole = json.dumps(result(4), indent=1).replace('"success": false', '"success": "maybe"')
    (tmp_path / "bad.json").write_text(whole)
    (tmp_path / "cut.json").write_text(json.dumps(result(5), indent=1)[:-20])
    (tmp_path / "empty.json").write_text("")
    names = ("runs.jsonl", "bad.json", "cut.json", "empty.json")
    done = push(host, *(tmp_path / name for name in names), "--json")
    assert done.exit_code == 3
    said = json.loads(done.stdout)
    assert (said["taken"], said["sent"]) == (2, 2)
    skipped = {one["path"].removeprefix(f"{tmp_path}/"): one["reason"] for one in said["skipped"]}
    at = whole.splitlines().index(' "success": "maybe",') + 1
    cut = len((tmp_path / "cut.json").read_text().splitlines())
    assert list(skipped) == [
        "runs.jsonl:3",
        "runs.jsonl:4",
        f"bad.json:{at}:13",
        *(k for k in skipped if "cut" in k),
        "empty.json",
    ]
    assert "Invalid JSON" in skipped["runs.jsonl:3"]
    assert "line 1" not in skipped["runs.jsonl:3"]
    assert "reports for acme" in skipped["runs.jsonl:4"]
    assert "success" in skipped[f"bad.json:{at}:13"]
    [broken] = [key for key in skipped if key.startswith("cut.json:")]
    assert broken.startswith(f"cut.json:{cut}:")
    for place in skipped:
        assert f"skipped: {tmp_path}/{place}: " in done.stderr
    assert sorted(arrived(bare)) == ["exec-20261122-0001", "exec-20261122-0003"]


def test_a_remote_that_is_away_loses_nothing(host: Path, bare: Git, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(result(1)))
    bare.path.rename(tmp_path / "away.git")
    done = push(host, tmp_path / "run.json")
    assert isinstance(done.exception, LearnerError)
    assert "1 in the spool, not sent" in done.exception.message
    (tmp_path / "away.git").rename(bare.path)
    assert push(host).stdout == "1 sent, 0 acknowledged, 1 in the spool\n"
    assert list(arrived(bare)) == ["exec-20261122-0001"]


def test_wrong_words_are_told(host: Path, tmp_path: Path) -> None:
    assert push(host, tmp_path / "run.json", "--watch").exit_code == 2
    missing = push(host, tmp_path / "none.json")
    assert isinstance(missing.exception, LearnerError)
    unset = push(host, "-", "--secret-env", "NO_SUCH_VARIABLE", stdin=b"{}")
    assert "NO_SUCH_VARIABLE" in str(unset.exception)
