"""The runbook works on one program, and what is broken is another one that the facts or the words show."""

from __future__ import annotations

import re

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, lines_of, rule, spoken_by
from learner.triage.families import families_of, family_of, family_of_port

_ACTS = ("restart_service", "start_service", "reload_service", "kill_process", "set_priority")
_SHARE = re.compile(r"^(?:%CPU|PCPU|CPU%|CPU\(s\)|%Cpu\(s\))$", re.IGNORECASE)
_SIZE = re.compile(
    r"^(?:%MEM|PMEM|MEM%|RSS|RSZ|RES|WS|(?:WS|RSS|MEM|RAM|PM)\([KMG]B?\)|WorkingSet(?:64)?|MEMORY)$", re.IGNORECASE
)
_NAME = re.compile(r"^(?:COMMAND|COMM|CMD|UCMD|ProcessName|Name)$", re.IGNORECASE)
_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_BY_TOOL = {
    "appcmd": "w3wp",
    "iisreset": "w3wp",
    "restart-webapppool": "w3wp",
    "apachectl": "apache2",
    "rabbitmqctl": "rabbitmq",
    "redis-cli": "redis",
}
_ACTS_BY_COMMAND = re.compile(
    r"\b(?:systemctl (?:--\S+ )*(?:try-)?(?:restart|reload|start|kill)|supervisorctl (?:restart|start)|pm2 (?:restart|reload)|docker (?:restart|kill)|pkill (?:-\S+ )*|killall (?:-\S+ )*"
    r"|(?:Restart|Start)-Service (?:-Name )?|net(?:\.exe)? start)\s*(?P<unit>[A-Za-z][\w@.-]*)"
    r"|\b(?P<tool>appcmd|iisreset|Restart-WebAppPool|apachectl|rabbitmqctl|redis-cli)\b",
    re.IGNORECASE,
)
_MUCH_MORE = 4.0
"""How many times as much as the runbook's own program another one has to use."""


def acted_on(seen: Seen) -> tuple[str, ...]:
    """Services and processes that the run started again, ended or made less urgent, in order, each once."""
    named = [str(step.params["name"]) for step in seen.did(*_ACTS) if "name" in step.params]
    for step in seen.did("run_command", "run_script"):
        named += [
            match["unit"] or _BY_TOOL[match["tool"].lower()] for match in _ACTS_BY_COMMAND.finditer(spoken_by(step))
        ]
    return tuple(dict.fromkeys(named))


@rule(FailureType.WRONG_RUNBOOK)
def serves_another_port(seen: Seen, case: Case) -> Sign | None:
    """A port stays closed that another kind of program serves than the one that was started again."""
    acted = acted_on(seen)
    if (
        seen.incident_type != "port_unreachable"
        or not acted
        or any(not seen.is_own(host) for host, _ in seen.addresses)
    ):
        return None
    known = families_of(acted)
    for port in sorted(seen.own_ports & {port for _, port in seen.addresses}):
        wanted = family_of_port(port)
        if not wanted or "" in known or wanted in known or seen.port(port, after=True) == "listening":
            continue
        down = [name for name in seen.down() if family_of(name) == wanted]
        whose = f"{down[0]}, which was {seen.service(down[0])}," if down else f"a {wanted} service"
        return Sign(
            0.88 if down else 0.78,
            f"port {port} is the business of {whose} and {acted[0]} was started again",
            seen.cite,
        )
    return None


@rule(FailureType.WRONG_RUNBOOK)
def another_uses_it_up(seen: Seen, case: Case) -> Sign | None:
    """A list of processes shows that another program uses the processors or the memory up than the one acted on."""
    column = _SHARE if seen.incident_type == "high_cpu" else _SIZE if seen.incident_type == "memory_leak" else None
    acted = acted_on(seen)
    if column is None or not acted or not seen.check:
        return None
    for text in seen.shown:
        used = usage(text, column)
        if not used:
            continue
        top = max(used, key=lambda name: used[name])
        own = [share for name, share in used.items() if any(_same(name, subject) for subject in acted)]
        kind, kinds = family_of(top), families_of(acted)
        if any(_same(top, subject) for subject in acted) or (kind and kind in kinds):
            return None
        if (own and max(own) * _MUCH_MORE <= used[top]) or (kind and "" not in kinds):
            return Sign(0.86, f"{top} uses most of it, and the runbook works on {', '.join(acted)}", seen.cite)
    return None


def usage(text: str, column: re.Pattern[str]) -> dict[str, float]:
    """What each program uses as a table of `ps`, `top` or `Get-Process` has it, most of any of its processes; empty when
    the text holds no such table."""
    heading: list[str] = []
    found: dict[str, float] = {}
    for line in lines_of(text):
        words = line.split()
        if not heading:
            if any(map(column.match, words)) and any(map(_NAME.match, words)):
                heading = words
            continue
        if len(words) < len(heading):
            continue
        at = next(i for i, word in enumerate(heading) if column.match(word))
        named = next(i for i, word in enumerate(heading) if _NAME.match(word))
        amount = _number(words[at])
        name = re.split(r"[/\\]", words[named])[-1].rstrip(":")
        if amount is not None and name and not name.startswith("["):
            found[name] = max(found.get(name, 0.0), amount)
    return found


def _number(word: str) -> float | None:
    match = re.fullmatch(r"([\d,]*\d(?:\.\d+)?)%?([kmgt]?)i?b?", word.lower())
    return float(match[1].replace(",", "")) * _UNITS.get(match[2], 1) if match else None


def _same(process: str, subject: str) -> bool:
    """Whether a process may belong to a service: one's first letters are the other's, or both are of one kind."""
    first, second = (re.split(r"[^a-z]", name.lower().removesuffix(".exe"))[0] for name in (process, subject))
    if first and second and (first.startswith(second) or second.startswith(first)):
        return True
    return bool(family_of(process)) and family_of(process) == family_of(subject)
