"""What a rule gets to see: one cluster with its runs, its counterparts that worked, and the runbook."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from learner.facts import get
from learner.mentions import LOCAL, address_of, addresses_in, hosts_in, readable
from learner.models.execution import ExecutionResult, FailureType, StepExecution
from learner.models.records import FailureCluster, Verdict
from learner.models.runbook import Runbook
from learner.triage.contrast import Contrast
from learner.triage.masking import plain
from learner.triage.signature import error_text, failing_check, failing_step, services_of
from learner.triage.system_words import in_english

MOST = 0.66
"""A rule speaks when at least this share of the runs bears its signs."""

_AT_PORT = re.compile(r"(?<![\w.@-])[1-9][0-9]{1,4}@([A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}[A-Za-z0-9])?)(?![\w@])")
"""A host the way licence managers write it: `27000@lic.example`."""


_READING = re.compile(
    r"\b(?:[Ss]ee|[Vv]isit|[Cc]onsult|guides?|documentation|[Mm]ore information|learn more|help)\b[^\n]{0,80}https?://\S+"
)
"""A link that people are to read: nobody tried to reach it."""
LOOKS = ("check_service_status", "check_port", "check_http", "check_certificate", "check_time_offset", "check_disk_usage",
         "wait_for_service", "wait_for_port", "wait_for_http", "resolve_dns", "assert", "find_processes")  # fmt: skip
"""Actions that only look: when one fails, what went wrong is told by others."""
_SHOWS_LOGS = re.compile(
    r"(?:^|[\s;&(])(?<!\| )(?:sudo )?(?:\S*/)?(?:journalctl|tail|dmesg|systemctl (?:\S+ )*status|(?:docker|podman|kubectl) (?:\S+ )*logs"
    r"|Get-WinEvent|Get-EventLog|Get-Content|wevtutil|log show)\b"
)


class Seen:
    """One failed run, as rules look at it."""

    def __init__(self, result: ExecutionResult, runbook: Runbook | None = None) -> None:
        self.result = result
        self.runbook = runbook
        self.step = failing_step(result)
        self.check = None if self.step else failing_check(result)
        self.before: Mapping[str, Any] = result.state_before.facts()
        self.after: Mapping[str, Any] = result.state_after.facts()

    @cached_property
    def error(self) -> str:
        """The words of what ended the run, without colours and control characters, the system's own in English."""
        words = readable(plain(error_text(self.result, self.step, self.check)))
        return in_english(words, self.result.platform)

    @cached_property
    def text(self) -> str:
        """`error` and everything else that was said about the failure: output, message, trace, steps that failed
        on the way."""
        parts = [self.error, self.result.error_message or ""]
        if self.step:
            parts += [self.step.error, self.step.output[-2000:]]
        for step in self.result.executed_steps:
            if not step.success and not step.skipped and step is not self.step:
                parts.append(step.error or step.output[-2000:])
        parts.append((self.result.error_traceback or "")[-2000:])
        if self.check or (self.step and self.step.action in LOOKS):
            parts += self._logs()
        words = readable("\n".join(dict.fromkeys(plain(part[:20_000]).strip() for part in parts if part.strip())))
        return in_english(words, self.result.platform)

    @property
    def shown(self) -> list[str]:
        """What every step printed that worked: lists of processes, answers of health pages, the kernel's log."""
        return [
            readable(plain(step.output[-4000:]))
            for step in self.result.executed_steps
            if step.success and not step.skipped and step.output.strip()
        ]

    def _logs(self) -> list[str]:
        """What steps that only look at logs and states printed: a claim that failed has no words of its own."""
        return [
            step.output[-2000:]
            for step in self.result.executed_steps
            if step.success and not step.skipped and _SHOWS_LOGS.search(spoken_by(step))
        ]

    @property
    def cite(self) -> str:
        """What to cite for the failure itself: `exec-…#2`, `exec-…#check:running`, or the run."""
        if self.step:
            return f"{self.result.execution_id}#{self.step.step_number}"
        if self.check and re.fullmatch(r"[a-z][a-z0-9_]*", self.check.id):
            return f"{self.result.execution_id}#check:{self.check.id}"
        return self.result.execution_id

    @property
    def action(self) -> str:
        return self.step.action if self.step else ""

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the failing step or check, as rendered."""
        return self.step.params if self.step else self.check.params if self.check else {}

    @property
    def incident_type(self) -> str:
        """The incident's type as one word of our own kind: `service_crash`."""
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.result.incident_type)
        return re.sub(r"[\s.-]+", "_", spaced.strip()).lower()

    @cached_property
    def own_services(self) -> frozenset[str]:
        """Services that this run is about: the one that fails, else what its parameters and its service steps name."""
        if self._asked:
            return frozenset({self._asked})  # it fails; what else the parameters name may be what it needs
        named = {str(value) for value in self.result.parameters.values() if isinstance(value, str)}
        own = {name for name in services_of(self.result) if name in named or name.removesuffix(".service") in named}
        if not own:
            for step in self.result.executed_steps:
                name = step.params.get("name")
                if step.action.endswith("_service") and isinstance(name, str):
                    own.add(name)
        return frozenset(own)

    @cached_property
    def own_ports(self) -> frozenset[int]:
        """Ports that this run is about: of its parameters and of the local addresses in them."""
        ports = set()
        for name, value in self.result.parameters.items():
            if isinstance(value, int) and not isinstance(value, bool) and "port" in name.lower():
                ports.add(value)
            if isinstance(value, str) and "://" in value and (address := address_of(value)):
                ports.add(address[1])
        return frozenset(ports)

    def service(self, name: str, *, after: bool = False) -> str:
        """A service's recorded status; `unknown` when nobody looked."""
        services = get(self.after if after else self.before, ("services",), {})
        bare = name.removesuffix(".service")
        return str(services.get(name, services.get(bare, services.get(f"{bare}.service", "unknown"))))

    def down(self) -> list[str]:
        """Services other than its own that were stopped or failed when the run began, in order of name."""
        services = self.before.get("services", {})
        own = {name.removesuffix(".service") for name in self.own_services}
        return sorted(
            name
            for name, status in services.items()
            if status in ("stopped", "failed") and name.removesuffix(".service") not in own
        )

    @property
    def _asked(self) -> str:
        """The service that the failing step or claim is about; empty when it is about something else."""
        about = self.action if self.step else self.check.check if self.check else ""
        name = self.params.get("name")
        return name if isinstance(name, str) and "service" in about else ""

    def exists(self, path: str) -> bool | None:
        """Whether the state before says that a file is there; None when nobody looked."""
        value = get(self.before, ("files", path, "exists"))
        return value if isinstance(value, bool) else None

    def port(self, number: int, *, after: bool = False) -> str:
        """`listening`, `closed` or `unknown`."""
        return str(get(self.after if after else self.before, ("ports", str(number)), "unknown"))

    def is_own(self, host: str) -> bool:
        """Whether an address or a name is this host itself."""
        host = host.strip("[]").lower()
        own = self.result.hostname.lower()
        return (
            host in LOCAL
            or host.startswith("127.")
            or host in (own, own.partition(".")[0])
            or (host.partition(".")[0] == own.partition(".")[0] and "." in host and not host[0].isdigit())
            or host in self.served
        )

    @cached_property
    def served(self) -> frozenset[str]:
        """Public names that this host answers to: those whose certificate the run looks after here."""
        steps = [step for step in self.result.executed_steps if step.action == "renew_certificate"]
        return frozenset(str(step.params["name"]).lower() for step in steps if "name" in step.params)

    @property
    def spoken(self) -> str:
        """What a command or script was told: it says where it went when its own words don't."""
        return readable(_words_of(self.params))

    @cached_property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where it tried to connect, as its words and the failing step's parameters say; words first."""
        found = dict.fromkeys(addresses_in(_READING.sub("", self.text)))
        url, host, port = self.params.get("url"), self.params.get("host"), self.params.get("port")
        if isinstance(url, str) and (address := address_of(url)):
            found[address] = None
        if isinstance(port, int) and (
            isinstance(host, str) or self.action in ("check_port", "wait_for_port") or self.check
        ):
            found[host if isinstance(host, str) else "127.0.0.1", port] = None
            if isinstance(host, str) and not self.is_own(host):
                found.pop(("127.0.0.1", port), None)  # “port 22 on …”: the words left out whose port it is
        if not found:
            found.update(dict.fromkeys(addresses_in(self.spoken)))
        return tuple(found)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Other hosts that it tried to reach or to find."""
        text = _READING.sub("", self.text)
        hosts = [*(host for host, _ in self.addresses), *hosts_in(text), *_AT_PORT.findall(text)]
        if not hosts:
            hosts = list(hosts_in(self.spoken))
        return tuple(dict.fromkeys(host for host in hosts if not self.is_own(host)))

    def did(self, *actions: str) -> list[StepExecution]:
        """Steps with one of `actions` that ran and worked."""
        return [
            step for step in self.result.executed_steps if step.action in actions and step.success and not step.skipped
        ]


def spoken_by(step: StepExecution) -> str:
    """What the command or script of a step was told; empty for every other action."""
    return _words_of(step.params) if step.action in ("run_command", "run_script") else ""


def _words_of(params: Mapping[str, Any]) -> str:
    argv = params.get("argv")
    return " ".join(map(str, argv)) if isinstance(argv, list) else str(params.get("script", ""))


@dataclass(frozen=True)
class Case:
    """One cluster to be judged, with everything that bears on it. All values: nothing is looked up."""

    cluster: FailureCluster
    results: Sequence[ExecutionResult]
    """The runs of the cluster's evidence."""
    successes: Sequence[ExecutionResult] = ()
    """Verified successes of the same version."""
    runbook: Runbook | None = None
    contrast: Contrast = field(default_factory=Contrast)

    @cached_property
    def seen(self) -> tuple[Seen, ...]:
        return tuple(Seen(result, self.runbook) for result in self.results)

    @property
    def disk_is_its_business(self) -> bool:
        """Whether incident or runbook is about disk space."""
        if self.runbook and any("disk" in kind for kind in self.runbook.incident_types):
            return True
        return any("disk" in seen.incident_type or "inode" in seen.incident_type for seen in self.seen)

    def on_another_system(self) -> str:
        """How the hosts where it works differ in kind from those where it fails; empty when they don't, or when
        nobody knows."""
        found = self.contrast.separating("host.os_id", "platform", "host.service_manager", "host.os_version")
        return str(found) if found else ""


@dataclass(frozen=True)
class Sign:
    """What one rule saw in one run."""

    confidence: float
    reason: str
    cite: str


Look = Callable[[Seen, Case], Sign | None]


@dataclass(frozen=True)
class Rule:
    """Knows one cause. Called with a case it returns its verdict, or None when it has nothing to say or doubts."""

    name: str
    failure_type: FailureType
    look: Look
    overrules: bool = False
    """Whether its verdict stands whatever other rules say."""
    least_share: float = MOST
    last: bool = False
    """Whether it is only asked for when no other rule has anything to say."""

    def __call__(self, case: Case) -> Verdict | None:
        signs = [sign for seen in case.seen if (sign := self.look(seen, case))]
        if not signs or len(signs) < self.least_share * len(case.seen):
            return None
        # The most doubtful run says how sure one can be; the same seen on more hosts is a little surer.
        confidence = min(sign.confidence for sign in signs)
        hosts = {(seen.result.client_id, seen.result.hostname) for seen in case.seen}
        if len(hosts) > 1 and len(signs) == len(case.seen):
            confidence = min(0.98, confidence + 0.02)
        hints = {seen.result.failure_type for seen in case.seen}
        if hints == {self.failure_type}:
            confidence = min(0.98, confidence + 0.05)
        return Verdict(
            failure_type=self.failure_type,
            confidence=round(confidence, 2),
            decided_by=f"rule:{self.name}",
            reasoning=signs[0].reason,
            evidence=tuple(sign.cite for sign in signs[:5]),
        )


def rule(
    failure_type: FailureType, *, overrules: bool = False, least_share: float = MOST, last: bool = False
) -> Callable[[Look], Rule]:
    """Makes a rule, named like the function, out of a look at one run."""

    def made(look: Look) -> Rule:
        return Rule(look.__name__, failure_type, look, overrules, least_share, last)

    return made


def said(*phrases: str) -> re.Pattern[str]:
    """A pattern that finds any of `phrases` (regular expressions), in any case, across line breaks for a space."""
    return re.compile(re.sub(r" (?![+*?{])", r"\\s+", "|".join(f"(?:{phrase})" for phrase in phrases)), re.IGNORECASE)


def first_line(text: str, match: re.Match[str]) -> str:
    """The line of `text` that holds `match`, cut to what a person reads: for reasons."""
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.start())
    line = text[start : end if end != -1 else len(text)].strip()
    return line if len(line) <= 160 else line[:157] + "…"


def lines_of(text: str) -> Iterator[str]:
    """The lines of `text` that hold something."""
    return (line.strip() for line in text.split("\n") if line.strip())
