"""Commands that take one thing away: how to look, with a command that changes nothing, whether it is still there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from learner.models import Step
from learner.proposals.patterns.general import Unfit
from learner.proposals.patterns.situation import Situation
from learner.proposals.patterns.traces import words_of
from learner.strict import Json
from learner.template import EXPRESSION

Look = Callable[[list[str]], list[str] | None]
"""The words after the program that are no options → the command that ends with 0 while the thing is there."""


def skip_when_gone(situation: Situation) -> list[dict[str, Json]]:
    """The operations that leave the failing command out when what it takes away is gone.

    An earlier step that lists such things tells it; else a look at the thing itself.

    Raises: `Unfit` when nothing is known that tells.
    """
    step = situation.step
    argv = step.params.get("argv") if step else None
    if step is None or not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise Unfit("the failing step is no command")
    if condition := _listed(situation, step, argv):
        return [_only(step, condition)]
    found = look(argv)
    if found is None:
        raise Unfit("no command is known that looks for what this one takes away")
    params: dict[str, Json] = {"argv": [*found], "success_exit_codes": [0, 1, 2, 3, 4, 5, 32]}
    params |= {key: step.params[key] for key in ("cwd", "env") if key in step.params}
    new: dict[str, Json] = {"id": "look_for_it", "action": "run_command", "params": params}
    new |= {"when": step.when} if step.when is not None else {}
    new |= {"become": True} if step.become else {}
    new["why"] = "it may be gone already; this only looks"
    return [
        {"op": "insert_step", "before": step.id, "step": new},
        _only(step, "steps.look_for_it.exit_code == 0"),
    ]


def _only(step: Step, condition: str) -> dict[str, Json]:
    when = condition if step.when is None else f"({step.when}) and ({condition})"
    return {"op": "set_when", "step_id": step.id, "when": when}


def _listed(situation: Situation, step: Step, argv: Sequence[str]) -> str | None:
    """The condition that an earlier step's list still names what the command's last word does; None without such a list."""
    whole = EXPRESSION.fullmatch(argv[-1])
    done = situation.failing.step
    shown = done.params.get("argv") if done else None
    if whole is None or not re.fullmatch(r"\w+", whole["inner"].strip()) or not isinstance(shown, list) or not shown:
        return None
    gone = re.compile(rf"(?<!\w){re.escape(str(shown[-1]))}(?!\w)")
    program = re.sub(r"(?:admin|ctl)$", "", argv[0].rpartition("/")[2])
    for earlier in reversed(situation.parent.steps[: situation.parent.steps.index(step)]):
        outputs = [
            d.output
            for d in situation.failing.result.executed_steps
            if d.step_id == earlier.id and d.success and not d.skipped
        ]
        same_tool = words_of(earlier.params).partition(" ")[0].rpartition("/")[2].startswith(program)
        if same_tool and outputs and outputs[0].strip() and not gone.search(outputs[0]):
            return f"({whole['inner'].strip()} | string) in steps.{earlier.id}.stdout"
    return None


def look(argv: Sequence[str]) -> list[str] | None:
    """The command that ends with 0 while what `argv` takes away is there; None when none is known."""
    program = argv[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")
    known = _LOOKS.get(program)
    words = [word for word in argv[1:] if not word.startswith("-")]
    return known(words) if known else None


def _one(*before: str) -> Look:
    return lambda words: [*before, words[0]] if len(words) == 1 else None


def _sub(verbs: str, *before: str) -> Look:
    return lambda words: [*before, words[1]] if len(words) == 2 and words[0] in verbs.split() else None


def _container(program: str) -> Look:
    def found(words: list[str]) -> list[str] | None:
        if len(words) == 2 and words[0] in ("rm", "rmi", "kill", "stop"):
            return [program, "image" if words[0] == "rmi" else "container", "inspect", words[1]]
        if len(words) == 3 and words[0] in ("network", "volume", "container", "image", "secret", "config"):
            return [program, words[0], "inspect", words[2]] if words[1] in ("rm", "remove") else None
        return None

    return found


def _ip(words: list[str]) -> list[str] | None:
    if len(words) < 3 or words[1] not in ("del", "delete"):
        return None
    rest = [word for word in words[2:] if word != "dev"]
    if words[0] == "link" and len(rest) == 1:
        return ["ip", "link", "show", "dev", rest[0]]
    return ["ip", "-netns", rest[0], "link", "show"] if words[0] == "netns" and len(rest) == 1 else None


def _kubectl(words: list[str]) -> list[str] | None:
    return ["kubectl", "get", words[1], words[2]] if len(words) == 3 and words[0] == "delete" else None


def _git(words: list[str]) -> list[str] | None:
    gone = len(words) == 3 and words[0] == "remote" and words[1] in ("rm", "remove")
    return ["git", "remote", "get-url", words[2]] if gone else None


def _net(words: list[str]) -> list[str] | None:
    deletes = any(word.lower() == "/delete" for word in words)
    plain = [word for word in words if not word.startswith("/")]
    whole = deletes and len(plain) == 2 and plain[0].lower() in ("user", "localgroup", "share")
    return ["net", *plain] if whole else None


def _cryptsetup(words: list[str]) -> list[str] | None:
    closes = len(words) == 2 and words[0] in ("close", "luksClose", "remove")
    return ["cryptsetup", "status", words[1]] if closes else None


_LOOKS: Mapping[str, Look] = {
    "docker": _container("docker"), "podman": _container("podman"),
    "userdel": _one("getent", "passwd"), "deluser": _one("getent", "passwd"),
    "groupdel": _one("getent", "group"), "delgroup": _one("getent", "group"),
    "umount": _one("mountpoint", "-q"),
    "lvremove": _one("lvs", "--noheadings"), "vgremove": _one("vgs", "--noheadings"),
    "zfs": _sub("destroy", "zfs", "list", "-H"), "zpool": _sub("export destroy", "zpool", "list", "-H"),
    "cryptsetup": _cryptsetup,
    "ip": _ip, "brctl": _sub("delbr", "ip", "link", "show", "dev"), "ovs-vsctl": _sub("del-br", "ovs-vsctl", "br-exists"),
    "dropdb": _one("psql", "--quiet", "--command", "select 1", "--dbname"),
    "kubectl": _kubectl,
    "git": _git,
    "rm": _one("test", "-e"), "unlink": _one("test", "-e"), "rmdir": _one("test", "-d"),
    "kill": _one("kill", "-0"),
    "sc": _sub("delete", "sc", "query"),
    "net": _net,
}  # fmt: skip
