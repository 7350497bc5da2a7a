"""`learner forge serve`: a process that starts, serves, and ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from learner.errors import LearnerError
from learner.local_forge import Forge, User, serve
from learner.local_forge.users import create_users, load_users
from learner.repository.git import init

COMMAND = [sys.executable, "-c", "from learner.cli.forge import command; command()", "serve"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    bare = tmp_path / "runbooks.git"
    init(bare, bare=True)
    process = subprocess.Popen(
        [*COMMAND, "--repo", str(bare), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        users = tmp_path / "runbooks.users.yaml"
        assert users.stat().st_mode & 0o777 == 0o600
        token = load_users(users)[0].token
        answer = requests.get(f"{url}/api/v3/user", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.json()["login"] == "owner"
    finally:
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Ended." in said
    links = re.findall(r"Sign in as (\w+) .*once: (http://\S+/login\?ticket=\S+)", said)
    assert [login for login, _ in links] == ["owner", "reviewer"]
    assert token not in said


@pytest.mark.parametrize("options", [["--host", "0.0.0.0"], ["--repo", "nowhere"]])
def test_a_refusal_leaves_no_users_file(tmp_path: Path, options: list[str]) -> None:
    init(tmp_path / "runbooks.git", bare=True)
    command = [sys.executable, "-m", "learner", "forge", "serve", "--repo", "runbooks.git", *options]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["runbooks.git"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.com"])
def test_only_loopback(tmp_path: Path, host: str) -> None:
    init(tmp_path / "r.git", bare=True)
    forge = Forge(tmp_path / "r.git", [User("ada", "token-of-ada", "admin")])
    with pytest.raises(LearnerError, match="is not a loopback address"):
        serve(forge, host)
    forge.close()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    init(tmp_path / "r.git", bare=True)
    users = [User("ada", "token-of-ada", "admin")]
    with serve(Forge(tmp_path / "r.git", users)) as running:
        other = Forge(tmp_path / "r.git", users, state_path=tmp_path / "other.sqlite")
        with pytest.raises(LearnerError, match="can't serve on"):
            serve(other, port=running.port)
        other.close()


def test_what_is_no_bare_repository(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="is no bare repository"):
        Forge(tmp_path, [])


def test_users_from_json_and_yaml(tmp_path: Path) -> None:
    made = create_users(tmp_path / "users.json")
    assert [u.role for u in made] == ["admin", "maintain", "write", "write"]
    assert len({u.token for u in made}) == 4
    path = tmp_path / "users.yaml"
    path.write_text("users:\n  - {login: ada, token: token-of-ada, role: admin, signing_key: keys/ada}\n")
    path.chmod(0o600)
    assert load_users(path)[0].signing_key == tmp_path / "keys" / "ada"


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ([], "no users in it"),
        ([{"login": "ada"}], "needs a login and a token"),
        ([{"login": "ada", "token": "token-of-ada", "rank": "x"}], "unknown key 'rank'"),
        ([{"login": "ada", "token": "token-of-ada", "role": "king"}], "unknown role 'king'"),
        ([{"login": "ada", "token": "short"}], "too short"),
        ([{"login": "a b", "token": "token-of-ada"}], "not a login"),
    ],
)
def test_users_that_are_refused(tmp_path: Path, users: list[dict[str, str]], words: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"users": users}))
    path.chmod(0o600)
    with pytest.raises(LearnerError, match=words):
        load_users(path)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are a matter of POSIX")
def test_a_users_file_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.write_text("users: []")
    path.chmod(0o644)
    with pytest.raises(LearnerError, match="others can read it"):
        load_users(path)


def test_two_users_with_one_token(tmp_path: Path) -> None:
    init(tmp_path / "r.git", bare=True)
    with pytest.raises(LearnerError, match="share a login or a token"):
        Forge(tmp_path / "r.git", [User("ada", "token-of-ada"), User("bob", "token-of-ada")])


def test_tokens_are_not_in_a_users_repr() -> None:
    assert "token-of-ada" not in repr(User("ada", "token-of-ada"))
