"""Commands that make something once: how to look, with a command that changes nothing, whether it is there already.

The look is made of the failing command's own words as the runbook writes them, so that it names the same thing for
every parameter. Only commands that do this one thing are known: a shell line may do more than what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from learner.proposals.patterns.general import Unfit
from learner.proposals.patterns.situation import Situation
from learner.strict import Json

Look = Callable[[Sequence[str], Sequence[str]], list[str] | None]
"""(words that are no options, all words after the program) → the command that looks; None when it can't tell."""

# Options that take the next word as their value, by program; what is missing here makes the look a doubtful one.
_VALUED: Mapping[str, str] = {
    "useradd": "-b -c -d -e -f -g -G -k -K -p -s -u -Z --comment --home-dir --home --gid --groups --shell --uid --base-dir --expiredate --inactive --skel --key --password --root --prefix --selinux-user",
    "adduser": "--home --shell --uid --gid --ingroup --gecos --firstuid --lastuid --conf -h -s -G -g -u",
    "groupadd": "-g -K -p -R -P -U --gid --key --password --root --prefix --users",
    "addgroup": "--gid --conf -g",
    "docker": "--driver -d --subnet --gateway --ip-range --opt -o --label --ipam-driver --ipam-opt --scope --aux-address --config-from",
    "zfs": "-o -b -V",
    "zpool": "-d -o -R -c -D",
    "cryptsetup": "--key-file -d --type -M --header --cipher -c --key-size -s",
}  # fmt: skip
_VALUED_AS = {"podman": "docker"}


def look_first(situation: Situation) -> list[dict[str, Json]]:
    """The operations that leave the failing command out when what it makes is there.

    Raises: `Unfit` when no command is known that looks for it.
    """
    step = situation.step
    argv = step.params.get("argv") if step else None
    if step is None or not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise Unfit("the failing step is no command")
    found = look(argv)
    if found is None:
        raise Unfit("no command is known that looks for what this one makes")
    params: dict[str, Json] = {"argv": [*found], "success_exit_codes": [0, 1, 2, 3, 4]}
    for key in ("cwd", "env"):
        if key in step.params:
            params[key] = step.params[key]
    new: dict[str, Json] = {"id": "look_for_it", "action": "run_command", "params": params}
    new |= {"when": step.when} if step.when is not None else {}
    new |= {"become": True} if step.become else {}
    new["why"] = "an earlier run may have made it already; this only looks"
    missing = "steps.look_for_it.exit_code != 0"
    when = missing if step.when is None else f"({step.when}) and ({missing})"
    return [
        {"op": "insert_step", "before": step.id, "step": new},
        {"op": "set_when", "step_id": step.id, "when": when},
    ]


def look(argv: Sequence[str]) -> list[str] | None:
    """The command that ends with 0 when what `argv` makes is there, and changes nothing; None when none is known."""
    program = argv[0].rpartition("/")[2]
    rest = list(argv[1:])
    valued = _VALUED.get(_VALUED_AS.get(program, program), "").split()
    words, skip = [], False
    for word in rest:
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            skip = word in valued
        else:
            words.append(word)
    known = _LOOKS.get(program)
    return known(words, [program, *rest]) if known else None


def _last(*before: str) -> Look:
    return lambda words, _argv: [*before, words[-1]] if len(words) == 1 else None


def _container(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    if len(words) == 3 and words[1] == "create" and words[0] in ("network", "volume", "context", "secret", "config"):
        return [argv[0], words[0], "inspect", words[2]]
    return None


def _ip(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    if words[:2] == ["netns", "add"] and len(words) == 3:
        return ["ip", "-netns", words[2], "link", "show"]
    if words[:2] == ["link", "add"] and len(words) > 2:
        rest = list(words[2:])
        name = rest[rest.index("name") + 1] if "name" in rest[:-1] else rest[0]
        return None if name in ("link", "type", "dev") else ["ip", "link", "show", "dev", name]
    return None


def _sub(commands: Sequence[str], *before: str, count: int = 2) -> Look:
    """`<program> <one of commands> <name>`: `before` and the last word."""
    return lambda words, _argv: [*before, words[-1]] if len(words) == count and words[0] in commands else None


def _git(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    return ["git", "remote", "get-url", words[2]] if words[:2] == ["remote", "add"] and len(words) == 4 else None


def _zpool(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    if words[:1] == ["import"] and len(words) == 2:
        return ["zpool", "list", "-H", words[1]]
    return None


def _cryptsetup(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    opens = words[:1] and words[0] in ("open", "luksOpen", "plainOpen")
    return ["test", "-e", f"/dev/mapper/{words[2]}"] if opens and len(words) == 3 else None


def _kubectl(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    makes = len(words) == 3 and words[0] == "create" and words[1] in ("namespace", "ns", "serviceaccount", "sa")
    plain = not any(word.startswith("-") for word in argv[1:])
    return ["kubectl", "get", words[1], words[2]] if makes and plain else None


def _net(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    adds = any(word.lower() == "/add" for word in argv)
    words = [word for word in words if not word.startswith("/")]
    kind = words[0].lower() if words else ""
    whole = (kind == "user" and len(words) in (2, 3)) or (kind == "localgroup" and len(words) == 2)
    return ["net", kind, words[1]] if adds and whole else None


def _launchctl(words: Sequence[str], argv: Sequence[str]) -> list[str] | None:
    whole = len(words) == 3 and words[0] == "bootstrap" and words[2].endswith(".plist")
    return ["launchctl", "print", f"{words[1]}/{words[2].rpartition('/')[2].removesuffix('.plist')}"] if whole else None


_LOOKS: Mapping[str, Look] = {
    "launchctl": _launchctl,
    "useradd": _last("getent", "passwd"),
    "adduser": _last("getent", "passwd"),
    "groupadd": _last("getent", "group"),
    "addgroup": _last("getent", "group"),
    "createdb": _last("psql", "--quiet", "--command", "select 1", "--dbname"),
    "docker": _container,
    "podman": _container,
    "ip": _ip,
    "brctl": _sub(["addbr"], "ip", "link", "show", "dev"),
    "ovs-vsctl": _sub(["add-br"], "ovs-vsctl", "br-exists"),
    "git": _git,
    "zpool": _zpool,
    "zfs": _sub(["create"], "zfs", "list", "-H"),
    "cryptsetup": _cryptsetup,
    "kubectl": _kubectl,
    "net": _net,
}
