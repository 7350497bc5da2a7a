"""The scripts for Windows: each is PowerShell of both editions, takes its values from the environment, and is understood
whatever comes back."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import learner.actions
import learner.executor.service_managers
from learner.actions.base import Outcome
from learner.actions.host import Completed
from learner.actions.powershell import POWERSHELL, Script
from tests.actions.foreign import Foreign, fails, says
from tests.powershell import faults, variables


def scripts() -> dict[str, Script]:
    found = {}
    for package in (learner.actions, learner.executor.service_managers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            held = vars(importlib.import_module(module.name))
            found |= {f"{module.name}.{name}": one for name, one in held.items() if isinstance(one, Script)}
    return found


SCRIPTS = scripts()


def test_there_are_scripts_to_look_at() -> None:
    assert len(SCRIPTS) >= 15


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_powershell_of_both_editions(name: str) -> None:
    script = SCRIPTS[name]
    assert faults(script.text) == []
    assert script.text.isascii()
    assert "Answer @{" in script.body or "Tell (" in script.body
    for key in script.gives:
        assert re.search(rf"\b{key} = ", script.body), f"{key} is promised and not given"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_reads_values_of_its_own_only(name: str) -> None:
    of_windows = {"SystemDrive"}
    assert all(one.startswith("LEARNER_") or one in of_windows for one in variables(SCRIPTS[name].text))
    assert not re.search(
        r"Invoke-Expression|\biex\b|\[scriptblock\]|-EncodedCommand", SCRIPTS[name].text, re.IGNORECASE
    )


@pytest.mark.parametrize(
    "text",
    ["if ($a { 1 }", "@{ a = 1", "$a = 'x", "Get-Process | | x", "foreach ($a in $b) { $a", "} else {", "a && b", "$a ?? 1"],
)  # fmt: skip
def test_the_grammar_says_no(text: str) -> None:
    assert faults(text)


ASK = Script("Answer @{ a = 1 }", ("a",))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (fails("Der Dienst läuft nicht."), "Der Dienst läuft nicht."),
        (Completed(1, "", "powershell: command not found"), "powershell: command not found"),
        (Completed(0, "WARNING: something\r\n"), "PowerShell gave no answer"),
        (says(b=2), "PowerShell gave no answer"),
        (Completed(0, '["a"]'), "PowerShell gave no answer"),
        (Completed(0, '{"a":', dropped_bytes=9), "the answer is too long to be read"),
        (Completed(143, timed_out=True), "timed out"),
    ],
)
def test_what_is_no_answer_is_a_failure_in_its_own_words(said: Completed, words: str) -> None:
    done = ASK.ask(Foreign(answers=[said]), 5.0)
    assert isinstance(done, Outcome)
    assert (done.success, done.stderr, done.timed_out) == (False, words, said.timed_out)


def test_an_answer_may_come_after_other_words_and_in_any_letters() -> None:
    host = Foreign(answers=[Completed(0, 'loading profile\r\n{"a":"C:\\\\caf\\u00e9"}\r\n')])
    assert ASK.ask(host, 5.0, path="C:\\x '; exit") == {"a": "C:\\café"}
    argv, env = host.asked[0]
    assert argv == (*POWERSHELL, ASK.text)
    assert env == {"LEARNER_PATH": "C:\\x '; exit"}
