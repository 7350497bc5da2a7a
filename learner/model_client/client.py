"""Asking a model within a budget: retries, ways of asking for JSON, recordings.

Nothing that comes back is trusted: it is bounded in size and time, parsed and held against the schema here. Whatever
an endpoint does wrong, `ask` answers with a value that says so. How to ask for JSON (by schema, by tool call, as an
object, in plain words) is found out by trying and remembered per model.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from learner.errors import LearnerError
from learner.model_client.exchange import Exchange, Fault, Post, Reply
from learner.model_client.recording import Recording
from learner.models.records import Usage
from learner.settings import ModelSettings
from learner.strict import validator

Size = Literal["small", "large"]
Kind = Literal["answer", "refused", "unfit", "unreachable", "budget"]
Mode = Literal["json_schema", "tool", "json_object", "text"]

MODES: tuple[Mode, ...] = ("json_schema", "tool", "json_object", "text")
ATTEMPTS = 3
"""Rounds in which a passing fault (429, 5xx, a timeout) is waited out."""
LONGEST_WAIT_SECONDS = 60.0
"""An endpoint that asks for a longer pause is left alone."""
GIVE_UP_AFTER = 2
"""Questions in a row without an answer after which the endpoint is not asked again in this run."""
OUTPUT_TOKENS: Mapping[Size, int] = {"small": 1_000, "large": 8_000}
FENCED = 4_000
"""Characters of one piece of evidence."""

_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\U000e0000-\U000e007f]"
)


@dataclass(frozen=True)
class Prompt:
    """What is asked. `boundary` is the random word in it that fences evidence: recordings leave it out of account."""

    system: str
    user: str
    boundary: str = ""


@dataclass(frozen=True)
class Answer:
    """What came back: a `value` that fits the schema, or None and the reason."""

    value: dict[str, Any] | None
    reason: str
    usage: Usage
    model: str
    kind: Kind = "answer"


class ModelClient:
    """Asks a small and a large model, within a budget of calls, tokens and money for its lifetime.

    `record` is a folder that every exchange is written to; with `replay`, a folder of such files, answers come from
    there and nothing is sent.

    Raises: `LearnerError` when a folder can't be used.
    """

    def __init__(
        self,
        settings: ModelSettings,
        key: str | None,
        *,
        record: Path | None = None,
        replay: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        token: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.settings = settings
        self._post = Post(settings, key, clock=clock, now=now)
        self._recording = Recording(record=record, replay=replay)
        self._sleep = sleep
        self._token = token
        self._usage = Usage()
        self._modes: dict[str, Mode] = {}
        self._silent = 0
        self._closed = ""

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return self._usage

    def boundary(self) -> str:
        """A fresh random word to fence evidence with."""
        return self._token()

    def model(self, size: Size) -> str:
        """The name of the model of a size."""
        return self.settings.small if size == "small" else self.settings.large

    def ask(self, prompt: Prompt, schema: dict[str, Any], name: str, size: Size) -> Answer:
        """The answer to `prompt` as an object that fits `schema`, or why there is none. Never raises for what the
        endpoint does.

        `name` names the question (`classify`, `edit`): letters, digits, underscores.
        """
        model = self.model(size)
        if self._recording.replaying:
            return self._replayed(prompt, schema, name, model)
        if self._closed:
            return Answer(None, self._closed, Usage(), model, "unreachable")
        exchange = Exchange(prompt.system, prompt.user, schema, name, model, OUTPUT_TOKENS[size])
        answer, tried = self._asked(exchange)
        if answer.kind == "unreachable":
            self._silent += 1
            if self._silent >= GIVE_UP_AFTER:
                self._closed = f"{answer.reason}; not asked again in this run"
        elif answer.kind != "budget":
            self._silent = 0
        self._recording.keep(
            self._recording.key(prompt.system, prompt.user, prompt.boundary, schema, name, model),
            {"name": name, "model": model, "system": prompt.system, "user": prompt.user, "schema": schema,
             "value": answer.value, "reason": answer.reason, "kind": answer.kind,
             "usage": answer.usage.model_dump(mode="json"), "replies": tried},
        )  # fmt: skip
        return answer

    def _replayed(self, prompt: Prompt, schema: dict[str, Any], name: str, model: str) -> Answer:
        key = self._recording.key(prompt.system, prompt.user, prompt.boundary, schema, name, model)
        kept = self._recording.next(key)
        if kept is None:
            return Answer(None, f"no recorded exchange {name}-{key}", Usage(), model, "unreachable")
        try:
            usage = Usage.model_validate_json(json.dumps(kept.get("usage", {})))
        except ValueError:
            usage = Usage()
        value = kept.get("value")
        if value is None:
            kind = kept.get("kind")
            known: Kind = kind if kind in ("refused", "unfit", "unreachable", "budget") else "unfit"
            return Answer(None, str(kept.get("reason", "")), usage, model, known)
        said = misfit(value, schema)
        return Answer(None, said, usage, model, "unfit") if said else Answer(value, "", usage, model)

    def _asked(self, exchange: Exchange) -> tuple[Answer, list[dict[str, Any]]]:
        tried: list[dict[str, Any]] = []
        usage = Usage()
        last = Answer(None, "not asked", usage, exchange.model, "unreachable")
        wait = 1.0
        for attempt in range(ATTEMPTS):
            known = self._modes.get(exchange.model)
            # A server that fails on one way of asking may take another; that is worth one round through all of them.
            ways: tuple[Mode, ...] = (known,) if known else MODES if attempt == 0 else MODES[:1]
            passing: Fault | None = None
            for mode in ways:
                if spent := self._over_budget(exchange):
                    return replace(last, value=None, reason=spent, usage=usage, kind="budget"), tried
                reply = self._post.send(exchange, mode)
                self._usage = self._usage + reply.usage
                usage = usage + reply.usage
                tried.append(
                    {"mode": mode, "status": reply.status, "text": reply.text, "fault": str(reply.fault or "")}
                )
                last = _judged(reply, exchange)
                last = replace(last, usage=usage)
                if last.value is not None:
                    self._modes[exchange.model] = mode
                    return last, tried
                if last.kind == "refused":
                    return last, tried
                if reply.fault is None and known:
                    return last, tried  # this way of asking works; the model just answered badly
                if reply.fault and reply.fault.final:
                    self._closed = f"{last.reason}; not asked again in this run"
                    return last, tried
                passing = reply.fault if reply.fault and reply.fault.passing else passing
                if reply.fault and not reply.fault.of_this_way:
                    break  # asking in another way would not help
            if passing is None:
                return last, tried
            pause = passing.retry_after_seconds if passing.retry_after_seconds is not None else wait
            if pause > LONGEST_WAIT_SECONDS:
                reason = f"{last.reason}; it asks for a pause of {pause:g} s"
                return replace(last, reason=reason), tried
            if attempt + 1 < ATTEMPTS:
                self._sleep(pause)
                wait *= 2
        return last, tried

    def _over_budget(self, exchange: Exchange) -> str:
        """Why the next call would be one too many; empty when it is not."""
        settings, used = self.settings, self._usage
        coming = exchange.estimated_tokens
        if used.model_calls >= settings.max_calls:
            return f"the budget of {settings.max_calls} calls is spent"
        if used.input_tokens + used.output_tokens + coming > settings.max_tokens:
            return f"the budget of {settings.max_tokens} tokens is spent"
        cost = used.cost_usd + coming * settings.input_usd_per_million / 1e6
        if cost > settings.max_cost_usd:
            return f"the budget of {settings.max_cost_usd:g} USD is spent"
        return ""


def _judged(reply: Reply, exchange: Exchange) -> Answer:
    """What a reply is worth. Its usage is filled in by the caller."""
    nothing = Usage()
    if reply.fault:
        return Answer(None, str(reply.fault), nothing, exchange.model, "unreachable")
    if reply.refusal:
        return Answer(None, f"the model refused: {clean(reply.refusal, 200)}", nothing, exchange.model, "refused")
    value = parsed(reply.text)
    if value is None:
        cut = ", cut short by its length" if reply.cut_short else ""
        shown = clean(reply.text, 120) or "nothing"
        return Answer(None, f"the reply is no JSON object{cut}: {shown}", nothing, exchange.model, "unfit")
    said = misfit(value, exchange.schema)
    if said:
        return Answer(None, said, nothing, exchange.model, "unfit")
    return Answer(value, "", nothing, exchange.model)


def parsed(text: str) -> dict[str, Any] | None:
    """The first JSON object in a reply, also out of a code block or among words; None when there is none."""

    def refused(_constant: str) -> None:
        raise ValueError("NaN and Infinity are no JSON")

    decoder = json.JSONDecoder(parse_constant=refused)
    start = text.find("{")
    for _ in range(20):
        if start < 0:
            return None
        try:
            value, _end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None


def misfit(value: Any, schema: Mapping[str, Any]) -> str:
    """Why `value` does not fit `schema`; empty when it does."""
    try:
        errors = sorted(
            validator(schema).iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path]
        )
    except RecursionError:
        return "the reply is nested too deeply"
    if not errors:
        return ""
    first = errors[0]
    where = ".".join(str(part) for part in first.absolute_path) or "the reply"
    return f"the reply does not fit: {where}: {clean(first.message, 160)}"


def clean(text: str, most: int) -> str:
    """`text` without control characters and invisible ones, in one line, cut to `most` characters."""
    line = " ".join(_UNSEEN.sub("", text[: most * 4]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def fenced(text: str, boundary: str, most: int = FENCED) -> str:
    """`text` as data between two marks that it can't contain: without invisible characters, head and tail kept when
    it is longer than `most` characters.

    `boundary` is random, so that nothing written before can end the fence.
    """
    if len(boundary) < 8:
        raise LearnerError("a fence needs a boundary of at least 8 characters", "use ModelClient.boundary()")
    body = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).replace(boundary, "")
    if len(body) > most:
        head, tail = most * 2 // 3, most // 3
        body = f"{body[:head]}\n… {len(body) - head - tail} characters left out …\n{body[-tail:]}"
    return f"<<<{boundary}\n{body}\n{boundary}>>>"
