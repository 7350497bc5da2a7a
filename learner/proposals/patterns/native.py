"""Commands of one system, and the catalogue's action that does the same on every system.

Only commands whose every word is understood are known: an option that is not means something that the action does not do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from learner.proposals.patterns.general import Unfit
from learner.proposals.patterns.situation import Situation
from learner.strict import Json

Native = tuple[str, dict[str, Json]]
"""An action and its parameters."""
Reader = Callable[[list[str]], Native | None]
"""The words after the program → the action that does the same; None when it can't tell."""

_TARGET = r"(?!-)(?:\{\{[^{}]+\}\}|[A-Za-z0-9_@.:-])+"
_SIGNALS = {
    "1": "HUP",
    "2": "INT",
    "9": "KILL",
    "15": "TERM",
    "HUP": "HUP",
    "INT": "INT",
    "KILL": "KILL",
    "TERM": "TERM",
}
_VERBS = {"start": "start_service", "stop": "stop_service", "restart": "restart_service", "reload": "reload_service"}


def use_action(situation: Situation) -> dict[str, Json]:
    """The operation that puts the catalogue's action in the place of the failing command.

    Raises: `Unfit` when no action is known that does the same, or a later step needs what the command prints.
    """
    step = situation.step
    argv = step.params.get("argv") if step else None
    if step is None or not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise Unfit("the failing step is no command")
    if set(step.params) - {"argv"}:
        raise Unfit("the command has an environment of its own")
    found = native(argv)
    if found is None:
        raise Unfit("no action is known that does what this command does")
    whole = situation.parent.model_dump_json()
    if re.search(rf"steps\.{re.escape(step.id)}\.(?:stdout|exit_code|data)", whole):
        raise Unfit("another step reads what the command prints")
    action, params = found
    written = step.model_dump(mode="json", exclude_unset=True)
    new = {**written, "action": action, "params": params, "why": "takes what the host has for it"}
    return {"op": "replace_step", "step_id": step.id, "step": new}


def native(argv: Sequence[str]) -> Native | None:
    """The action that does what `argv` does; None when none is known."""
    place, _, program = argv[0].replace("\\", "/").rpartition("/")
    rest = list(argv[1:])
    if place.endswith("/init.d"):
        return _service([program, *rest])
    reader = _READERS.get(program.lower().removesuffix(".exe"))
    return reader(rest) if reader else None


def _options(words: Sequence[str], plain: str) -> list[str] | None:
    """The words that are no options; None when an option is not among `plain`."""
    known = plain.split()
    if any(word.startswith("-") and word not in known for word in words):
        return None
    return [word for word in words if not word.startswith("-")]


def _act(verb: str, name: str) -> Native | None:
    action = _VERBS.get(verb)
    if action is None or not re.fullmatch(_TARGET, name) or re.search(r"\.(?:mount|timer|target|socket|path)$", name):
        return None
    return action, {"name": name.removesuffix(".service")}


def _systemctl(words: list[str]) -> Native | None:
    left = _options(words, "-q --quiet --no-pager --no-ask-password --system")
    return _act(*left) if left and len(left) == 2 else None


def _service(words: list[str]) -> Native | None:
    left = _options(words, "")
    return _act(left[1], left[0]) if left and len(left) == 2 else None


def _controller(words: list[str]) -> Native | None:
    """`net start NAME`, `sc stop NAME`."""
    ends = len(words) == 2 and words[0].lower() in ("start", "stop")
    return _act(words[0].lower(), words[1]) if ends else None


def _packages(words: list[str]) -> Native | None:
    left = _options(words, "-y -q -qq --yes --quiet --non-interactive -n")
    return ("clean_package_cache", {}) if left in (["clean"], ["clean", "all"], ["cache", "clean"]) else None


def _killall(words: list[str]) -> Native | None:
    signal = "TERM"
    if len(words) == 3 and words[0] in ("-s", "--signal"):
        signal, words = words[1], words[2:]
    elif len(words) == 2 and words[0].startswith("-"):
        signal, words = words[0].lstrip("-"), words[1:]
    sent = _SIGNALS.get(signal.upper().removeprefix("SIG"))
    if sent is None or len(words) != 1 or not re.fullmatch(_TARGET, words[0]):
        return None
    return "kill_process", {"name": words[0], **({"signal": sent} if sent != "TERM" else {})}


def _curl(words: list[str]) -> Native | None:
    """A question whose answer's status alone counts."""
    fails = any(word == "--fail" or re.fullmatch(r"-[sS]*f[sS]*", word) for word in words)
    left = _options(words, "-f -s -S -fs -sf -fsS -sSf -sfS -fS --fail --silent --show-error")
    return _asks(left) if fails else None


def _wget(words: list[str]) -> Native | None:
    left = _options(words, "-q --quiet --spider -nv")
    return _asks(left) if "--spider" in words else None


def _asks(left: list[str] | None) -> Native | None:
    whole = left is not None and len(left) == 1 and re.match(r"https?://|\{\{", left[0])
    return ("check_http", {"url": left[0]}) if left and whole else None


def _lookup(words: list[str]) -> Native | None:
    left = _options(words, "+short") or []
    left = [word for word in left if word != "+short"]
    return ("resolve_dns", {"name": left[0]}) if len(left) == 1 and re.fullmatch(_TARGET, left[0]) else None


def _exactly(*known: Sequence[str], action: str) -> Reader:
    wanted = [list(words) for words in known]
    return lambda words: (action, {}) if [word.lower() for word in words] in wanted else None


def _ntpdate(words: list[str]) -> Native | None:
    left = _options(words, "-u -b -s -B -v")
    return ("sync_time", {}) if left and len(left) == 1 else None


_READERS: Mapping[str, Reader] = {
    "systemctl": _systemctl,
    "service": _service, "rc-service": _service, "invoke-rc.d": _service,
    "net": _controller, "sc": _controller,
    "apt": _packages, "apt-get": _packages, "yum": _packages, "dnf": _packages, "microdnf": _packages,
    "zypper": _packages, "apk": _packages,
    "killall": _killall,
    "curl": _curl, "wget": _wget,
    "dig": _lookup, "nslookup": _lookup, "host": _lookup, "getent": lambda words: _lookup(words[1:]) if words[:1] == ["hosts"] else None,
    "systemd-resolve": _exactly(["--flush-caches"], action="flush_dns_cache"),
    "dscacheutil": _exactly(["-flushcache"], action="flush_dns_cache"),
    "ipconfig": _exactly(["/flushdns"], action="flush_dns_cache"),
    "ntpdate": _ntpdate, "ntpdig": _ntpdate,
    "chronyc": _exactly(["makestep"], ["-a", "makestep"], action="sync_time"),
}  # fmt: skip


_RESTIC_VALUED = frozenset({"-r", "--repo", "-p", "--password-file", "--password-command", "--repository-file", "-o", "--option", "--cacert", "--cache-dir", "--key-hint"})  # fmt: skip


def unlock_first(situation: Situation) -> dict[str, Json]:
    """The operation that lets restic take away locks of runs that are gone; it leaves those of living ones alone.

    Raises: `Unfit` when the failing step is no run of restic that names its repository.
    Source: restic's manual, "Removing stale locks": `unlock` removes those whose process is gone or that are 30 minutes old.
    """
    step = situation.step
    argv = step.params.get("argv") if step else None
    if step is None or not isinstance(argv, list) or str(argv[0]).rpartition("/")[2] != "restic":
        raise Unfit("the failing step is no run of restic")
    kept: list[Json] = [argv[0]]
    words = [str(word) for word in argv[1:]]
    for at, word in enumerate(words):
        if word in _RESTIC_VALUED:
            kept += words[at : at + 2]
        elif word.partition("=")[0] in _RESTIC_VALUED:
            kept.append(word)
    named = {"RESTIC_REPOSITORY", "RESTIC_REPOSITORY_FILE"} & set(step.params.get("env") or {})
    if len(kept) == 1 and not named:
        raise Unfit("the command does not name its repository")
    params: dict[str, Json] = {
        "argv": [*kept, "unlock"],
        **{k: v for k, v in step.params.items() if k in ("cwd", "env")},
    }
    new: dict[str, Json] = {"id": "unlock", "action": "run_command", "params": params}
    new |= {"when": step.when} if step.when is not None else {}
    new |= {"timeout_seconds": 60, "why": "takes away locks of runs that are gone, never those of living ones"}
    return {"op": "insert_step", "before": step.id, "step": new}
