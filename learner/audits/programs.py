"""What really runs: commands without the programs that only pass them on, and the code that interpreters are given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from learner.audits.decode import printed, unpacked
from learner.audits.foreign_code import Code, commands_in
from learner.audits.shell import parse
from learner.audits.simple import UNREAD, Simple

DEEPEST = 8
"""Wrappers inside wrappers that are followed."""

SHELLS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "busybox-sh"])
ROOT = frozenset(["sudo", "doas", "pkexec", "su", "runuser"])
INTERPRETERS = re.compile(r"(python|perl|ruby|node|nodejs|php|lua|deno|bun|tclsh|pwsh|powershell)[0-9.]*")

# Programs that run their operands, by the short options that take a value, and how many operands come first.
_WRAPPERS: dict[str, tuple[str, int]] = {
    "sudo": ("ugpCThRrtD", 0), "doas": ("uC", 0), "pkexec": ("", 0), "env": ("uCS", 0), "nice": ("n", 0),
    "ionice": ("cnp", 0), "nohup": ("", 0), "setsid": ("", 0), "timeout": ("ks", 1), "time": ("fo", 0),
    "stdbuf": ("ioe", 0), "command": ("", 0), "exec": ("a", 0), "builtin": ("", 0), "busybox": ("", 0),
    "toybox": ("", 0), "xargs": ("aEeIiLlnPsd", 0), "chroot": ("", 1), "unshare": ("", 0), "nsenter": ("tGS", 0),
    "flock": ("wE", 1), "watch": ("n", 0), "systemd-run": ("pEuM", 0), "systemd-inhibit": ("", 0), "chrt": ("TPD", 1),
    "taskset": ("", 1), "strace": ("eopsu", 0), "ltrace": ("eopsu", 0), "parallel": ("jN", 0), "setpriv": ("", 0),
    "dbus-run-session": ("", 0), "unbuffer": ("", 0), "proxychains": ("f", 0), "torsocks": ("", 0), "faketime": ("", 1),
    "coproc": ("", 0), "numactl": ("", 0), "firejail": ("", 0), "script": ("", 0), "then": ("", 0), "runuser": ("u", 0),
    "start-stop-daemon": ("", 0), "batch": ("", 0), "chronic": ("", 0), "linux64": ("", 0), "linux32": ("", 0),
}  # fmt: skip
_LONG_VALUES = frozenset(
    [
        "user",
        "group",
        "host",
        "chdir",
        "unset",
        "adjustment",
        "signal",
        "kill-after",
        "property",
        "uid",
        "gid",
        "slice",
        "unit",
        "setenv",
        "max-args",
        "max-procs",
        "delimiter",
        "arg-file",
        "replace",
        "input",
        "output",
        "error",
        "target",
        "setuid",
        "setgid",
    ]
)


def flatten(commands: Sequence[Simple], depth: int = 0) -> Iterator[Simple | Code]:
    """Every command in `commands` and every one that it passes on; code of other languages as it is."""
    for command in commands:
        yield command
        if depth >= DEEPEST:
            if next(_inner(command), None) is not None:
                yield Simple((UNREAD,))
            continue
        yield from flatten_inner(command, depth)


def flatten_inner(command: Simple, depth: int) -> Iterator[Simple | Code]:
    """What `command` runs in its turn."""
    for inner in _inner(command):
        if isinstance(inner, Code):
            yield inner
            if inner.language == "shell":
                again = [_inheriting(made, command) for made in parse(inner.text, _seen(command))]
                yield from flatten(again, depth + 1)
            else:
                yield from flatten([_inheriting(made, command) for made in commands_in(inner)], depth + 1)
        else:
            yield from flatten([inner], depth + 1)


def _seen(command: Simple) -> dict[str, str]:
    return dict(command.scope) if command.name in ("eval", "trap") else dict(command.variables)


def _inheriting(made: Simple, outer: Simple) -> Simple:
    upstream = made.upstream or outer.upstream
    return replace(made, elevated=made.elevated or outer.elevated or outer.name in ROOT, upstream=upstream)


def _inner(command: Simple) -> Iterator[Simple | Code]:
    name, words = command.name, command.words
    if name in SHELLS:
        yield from _shell(command)
    elif match := INTERPRETERS.fullmatch(name):
        yield from _interpreter(command, match[1])
    elif name == "eval":
        yield Code("shell", " ".join(words[1:]))
    elif name == "cmd":
        if rest := [i for i, word in enumerate(words) if word.lower() in ("/c", "/k")]:
            yield Code("shell", " ".join(words[rest[0] + 1 :]))
    elif name in ("su", "runuser", "script", "flock", "watch", "ssh", "sg", "capsh", "trap", "at", "batch"):
        yield from _strings(command)
    elif name == "find":
        yield from _found(command)
    elif name in ("docker", "podman", "kubectl", "nerdctl", "lxc", "oc", "crictl"):
        yield from _contained(command)
    elif name in ("awk", "gawk", "mawk", "nawk"):
        for text in re.findall(r"system\s*\(\s*\"((?:[^\"\\]|\\.)*)\"", " ".join(words)):
            yield Code("shell", text.replace('\\"', '"'))
    if name in _WRAPPERS and name not in SHELLS:
        yield from _wrapped(command)


def _wrapped(command: Simple) -> Iterator[Simple | Code]:
    valued, positional = _WRAPPERS[command.name]
    words = list(command.words[1:])
    while words:
        word = words[0]
        if command.name == "env" and word in ("-S", "--split-string") and len(words) > 1:
            yield Code("shell", " ".join(words[1:]))
            return
        if command.name == "env" and word.startswith(("-S", "--split-string=")):
            yield Code("shell", " ".join([word.removeprefix("-S").removeprefix("--split-string="), *words[1:]]))
            return
        if word == "--":
            words = words[1:]
            break
        if word.startswith("--"):
            words = words[2:] if "=" not in word and word[2:] in _LONG_VALUES else words[1:]
        elif word.startswith("-") and len(word) > 1:
            words = words[2:] if word[-1] in valued and len(word) == 2 else words[1:]
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", word, re.DOTALL):
            words = words[1:]
        elif positional:
            words, positional = words[1:], positional - 1
        else:
            break
    if words:
        if command.name == "xargs" and command.upstream and (said := printed(command.upstream[-1])) is not None:
            words += said.split()
        elif command.name == "xargs":
            words.append("$(xargs)")
        yield replace(
            command, words=tuple(words), elevated=command.elevated or command.name in ROOT, redirects=(), variables=()
        )


def _shell(command: Simple) -> Iterator[Simple | Code]:
    words = command.words[1:]
    for i, word in enumerate(words):
        if word.startswith("-") and not word.startswith("--") and "c" in word[1:]:
            if rest := [w for w in words[i + 1 :] if not w.startswith(("-", "+"))]:
                yield Code("shell", rest[0])
            return
        if not word.startswith(("-", "+")):
            break
    if command.stdin:
        yield Code("shell", command.stdin)
    elif command.upstream and (said := printed(command.upstream[-1])) is not None:
        yield Code("shell", said)


def _interpreter(command: Simple, language: str) -> Iterator[Simple | Code]:
    words = command.words[1:]
    language = {"pwsh": "powershell", "nodejs": "node"}.get(language, language)
    if language == "powershell":
        for i, word in enumerate(words):
            if re.fullmatch(r"[-/]e(nc|c|ncodedcommand|nco\w*)?", word, re.IGNORECASE) and i + 1 < len(words):
                yield Code("powershell", unpacked(words[i + 1]) or "")
                return
            if re.fullmatch(r"[-/]c(ommand|om\w*)?", word, re.IGNORECASE):
                yield Code("powershell", " ".join(words[i + 1 :]))
                return
        if words and not words[-1].lower().endswith(".ps1"):
            yield Code("powershell", " ".join(words))
        return
    flags = {"python": "c", "perl": "eE", "ruby": "e", "node": "ep", "php": "r", "lua": "e", "deno": "", "bun": "e"}
    for i, word in enumerate(words):
        if word in ("--eval", "--print", "eval") and i + 1 < len(words):
            yield Code(language, words[i + 1])
            return
        if re.fullmatch(r"-[A-Za-z0-9]+", word) and word[-1] in flags.get(language, "") and i + 1 < len(words):
            yield Code(language, words[i + 1])
            return
        if not word.startswith("-"):
            return
    if command.stdin:
        yield Code(language, command.stdin)
    elif command.upstream and (said := printed(command.upstream[-1])) is not None:
        yield Code(language, said)


def _strings(command: Simple) -> Iterator[Simple | Code]:
    """Programs that take a command as one text."""
    words = command.words
    if command.name == "ssh":
        rest = list(words[1:])
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0][1:2] in "bcDEeFIiJLlmOopQRSWw" and len(rest[0]) == 2 else rest[1:]
        if len(rest) > 1:
            yield Code("shell", " ".join(rest[1:]))
        elif command.stdin:
            yield Code("shell", command.stdin)
        return
    if command.name == "trap" and len(words) > 2:
        yield Code("shell", words[1])
        return
    if command.name == "watch" and command.operands:
        yield Code("shell", " ".join(command.operands))
        return
    if command.name in ("at", "batch"):
        text = command.stdin or (printed(command.upstream[-1]) if command.upstream else "")
        yield Code("shell", text or "")
        return
    for i, word in enumerate(words):
        if (word == "-c" or re.fullmatch(r"--command(=.*)?", word)) and (i + 1 < len(words) or "=" in word):
            text = word.partition("=")[2] or words[i + 1]
            yield Code("shell", text)


def _found(command: Simple) -> Iterator[Simple]:
    """What `find -exec` runs, with the places it looks in as its operands."""
    words = list(command.words)
    places = []
    for word in words[1:]:
        if word.startswith(("-", "(", "!")):
            break
        places.append(word)
    at = 1
    while at < len(words):
        word, at = words[at], at + 1
        if word not in ("-exec", "-execdir", "-ok", "-okdir"):
            continue
        rest = words[at:]
        end = next((j for j, w in enumerate(rest) if w in (";", "+")), len(rest))
        # What is found lies under the places; a filter narrows it, so it is a place with a pattern.
        target = [f"{place.rstrip('/')}/$found" for place in places]
        filled = [piece for w in rest[:end] for piece in (target if w == "{}" else [w.replace("{}", " ".join(target))])]
        if filled:
            yield replace(command, words=tuple(filled), redirects=())
        at += end


def _contained(command: Simple) -> Iterator[Simple]:
    words = command.words
    verb = next((i for i, word in enumerate(words) if word in ("exec", "run")), None)
    if verb is None:
        return
    rest = list(words[verb + 1 :])
    if "--" in rest:
        rest = rest[rest.index("--") + 1 :]
    else:
        while rest and rest[0].startswith("-"):
            takes = rest[0] in (
                "-u",
                "-e",
                "-w",
                "-v",
                "-c",
                "-n",
                "--user",
                "--env",
                "--workdir",
                "--name",
                "--volume",
            )
            rest = rest[2:] if takes else rest[1:]
        rest = rest[1:]
    if rest:
        yield replace(command, words=tuple(rest), redirects=())
