"""One request to a chat-completions endpoint and its reply, bounded in size and time. The only user of `openai`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from learner.models.records import Usage
from learner.settings import ModelSettings

if TYPE_CHECKING:
    from openai import OpenAI

DEFAULT_URL = "https://api.openai.com/v1"
LARGEST_REPLY_BYTES = 1 << 20
LARGEST_ERROR_BYTES = 16 << 10
CONNECT_SECONDS = 10.0

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# What a server may answer when it does not know a way of asking for JSON. 500 is what some really say.
_OF_THIS_WAY = frozenset({400, 404, 415, 422, 500, 501})
_FINAL = frozenset({401, 403})


@dataclass(frozen=True)
class Exchange:
    """A question, ready to be put in any way of asking."""

    system: str
    user: str
    schema: dict[str, Any]
    name: str
    model: str
    output_tokens: int

    @property
    def estimated_tokens(self) -> int:
        """A quarter of its characters. Tokenizers fetch their tables from the network, so none is used."""
        return (len(self.system) + len(self.user) + len(json.dumps(self.schema))) // 4

    def body(self, mode: str, limit: str) -> dict[str, Any]:
        """The request for a way of asking; `limit` is what the endpoint calls the most tokens of a reply."""
        system = self.system
        how: dict[str, Any] = {}
        if mode == "json_schema":
            how["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": self.name, "schema": self.schema, "strict": True},
            }
        elif mode == "tool":
            function = {"name": self.name, "description": "Give the answer.", "parameters": self.schema}
            how["tools"] = [{"type": "function", "function": function}]
            how["tool_choice"] = {"type": "function", "function": {"name": self.name}}
        else:
            wanted = json.dumps(self.schema, ensure_ascii=False)
            system = (
                f"{system}\n\nAnswer with one JSON object and nothing else. It must fit this JSON Schema:\n{wanted}"
            )
            if mode == "json_object":
                how["response_format"] = {"type": "json_object"}
        messages = [{"role": "system", "content": system}, {"role": "user", "content": self.user}]
        return {"model": self.model, "messages": messages, limit: self.output_tokens} | how


@dataclass(frozen=True)
class Fault:
    """Why there is no reply."""

    words: str
    passing: bool = False
    """It may go away by itself."""
    final: bool = False
    """It will not: the key is refused, for example."""
    of_this_way: bool = False
    """Another way of asking may work."""
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Reply:
    """What came back from one request."""

    text: str = ""
    refusal: str = ""
    cut_short: bool = False
    fault: Fault | None = None
    status: int = 0
    usage: Usage = field(default_factory=Usage)


class _Unfinished(Exception):
    """A body that is too large or too slow; the words say which."""


class Post:
    """Sends requests. `send` never raises for what the endpoint does, and no error of its holds the key."""

    def __init__(
        self, settings: ModelSettings, key: str | None, *, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._key = key
        self._clock = clock
        self._now = now
        self._client: OpenAI | None = None
        self._limit = "max_tokens"

    def send(self, exchange: Exchange, mode: str) -> Reply:
        """The reply to one request, its usage estimated where the endpoint says none."""
        reply = self._sent(exchange, mode)
        if (
            reply.status == 400
            and reply.fault
            and "max_completion_tokens" in reply.fault.words
            and self._limit == "max_tokens"
        ):
            self._limit = "max_completion_tokens"  # newer models of OpenAI's refuse the old name
            again = self._sent(exchange, mode)
            return Reply(
                again.text, again.refusal, again.cut_short, again.fault, again.status, reply.usage + again.usage
            )
        return reply

    def _sent(self, exchange: Exchange, mode: str) -> Reply:
        import openai

        try:
            client = self._client = self._client or self._opened()
            return self._received(client, exchange, mode)
        except openai.APITimeoutError:
            fault = Fault(f"no reply within {self._settings.timeout_seconds:g} s", passing=True)
        except _Unfinished as e:
            fault = Fault(str(e), passing=False)
        except openai.APIStatusError as e:
            return self._status(exchange, e.status_code, dict(e.response.headers), str(e.body or ""))
        except openai.OpenAIError as e:
            told = e if isinstance(e, _told()) else e.__cause__ if isinstance(e.__cause__, _told()) else None
            if told is not None:
                return self._status(exchange, told.status, told.headers, told.body)
            cause = e.__cause__ or e
            fault = Fault(f"the endpoint can't be reached: {self._words(cause)}", passing=True)
        except Exception as e:
            # The libraries beneath raise many kinds for a malformed reply; all of them mean the same here.
            fault = Fault(f"the endpoint misbehaved: {self._words(e)}", passing=False)
        return Reply(fault=fault, usage=self._usage(exchange, None, 0))

    def _opened(self) -> OpenAI:
        import openai

        seconds = self._settings.timeout_seconds or None
        timeout = openai.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds or CONNECT_SECONDS))
        return openai.OpenAI(
            base_url=self._settings.base_url or DEFAULT_URL,
            api_key=self._key or "none",  # the library wants one, a local server does not
            max_retries=0,
            timeout=timeout,
            # A redirect would carry the prompt to somebody else.
            http_client=openai.DefaultHttpxClient(
                timeout=timeout, follow_redirects=False, event_hooks={"response": [self._stop_errors]}
            ),
        )

    def _stop_errors(self, response: Any) -> None:
        """Reads the beginning of an error's body; the library would read all of it."""
        if response.status_code < 300:
            return
        body = b""
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) >= LARGEST_ERROR_BYTES:
                    break
        except Exception:
            body = body or b"(its body can't be read)"
        response.close()
        raise _told()(
            response.status_code, dict(response.headers), body[:LARGEST_ERROR_BYTES].decode("utf-8", "replace")
        )

    def _received(self, client: OpenAI, exchange: Exchange, mode: str) -> Reply:
        ends = self._clock() + (self._settings.timeout_seconds or float("inf"))
        body = b""
        create: Any = client.chat.completions.with_streaming_response.create
        with create(**exchange.body(mode, self._limit)) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST_REPLY_BYTES:
                    raise _Unfinished(f"the reply is larger than {LARGEST_REPLY_BYTES >> 20} MiB")
                if self._clock() > ends:
                    raise _Unfinished(f"the reply took longer than {self._settings.timeout_seconds:g} s")
        return self._read(exchange, body)

    def _read(self, exchange: Exchange, body: bytes) -> Reply:
        try:
            whole = json.loads(body)
            choice = whole["choices"][0]
            message = choice["message"]
            text = _text_of(message)
            refusal = message.get("refusal") or (
                "its filter stopped it" if choice.get("finish_reason") == "content_filter" else ""
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            usage = self._usage(exchange, None, len(body))
            return Reply(fault=Fault("the reply is no chat completion", of_this_way=True), status=200, usage=usage)
        usage = self._usage(exchange, whole.get("usage"), len(text))
        return Reply(text, str(refusal), choice.get("finish_reason") == "length", None, 200, usage)

    def _usage(self, exchange: Exchange, said: Any, characters: int) -> Usage:
        """What one call used: as the reply says, a quarter of the characters where it does not."""
        given = said if isinstance(said, dict) else {}
        tokens_in = _count(given.get("prompt_tokens"), exchange.estimated_tokens)
        tokens_out = _count(given.get("completion_tokens"), characters // 4)
        settings = self._settings
        cost = (tokens_in * settings.input_usd_per_million + tokens_out * settings.output_usd_per_million) / 1e6
        return Usage(model_calls=1, input_tokens=tokens_in, output_tokens=tokens_out, cost_usd=round(cost, 6))

    def _status(self, exchange: Exchange, status: int, headers: dict[str, str], body: str) -> Reply:
        said = self._words(_message(body))
        words = f"the endpoint answered {status}" + (f": {said}" if said else "")
        if status in _FINAL:
            words = f"the endpoint refuses the key ({status})"
        fault = Fault(words, status in _PASSING, status in _FINAL, status in _OF_THIS_WAY, self._pause(headers))
        usage = self._usage(exchange, {"prompt_tokens": 0, "completion_tokens": 0}, 0)
        return Reply(fault=fault, status=status, usage=usage)

    def _pause(self, headers: dict[str, str]) -> float | None:
        """Seconds that the endpoint asks to wait, by `retry-after-ms` or `Retry-After` (seconds or a date).

        Source: RFC 9110, section 10.2.3.
        """
        by_name = {name.lower(): value.strip() for name, value in headers.items()}
        for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
            try:
                seconds = float(by_name.get(name, "")) / unit
            except ValueError:
                continue
            return seconds if 0 <= seconds < 1e9 else None
        try:
            at = parsedate_to_datetime(by_name["retry-after"])
            return max(0.0, (at - self._now()).total_seconds())
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    def _words(self, error: object) -> str:
        words = " ".join(str(error).split())[:300]
        return words.replace(self._key, "***") if self._key else words


@lru_cache(maxsize=1)
def _told() -> Any:
    """The exception that carries an error's status out of the library: one of its own kind passes through as it is."""
    import openai

    class Told(openai.OpenAIError):
        def __init__(self, status: int, headers: dict[str, str], body: str) -> None:
            super().__init__(f"status {status}")
            self.status, self.headers, self.body = status, headers, body

    return Told


def _text_of(message: dict[str, Any]) -> str:
    """The answer's text: of the tool call when there is one, else the content."""
    for call in message.get("tool_calls") or ():
        arguments = call["function"]["arguments"]
        return arguments if isinstance(arguments, str) else json.dumps(arguments)
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    return str(content)


def _count(value: Any, otherwise: int) -> int:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
    return value if sane else otherwise


def _message(body: str) -> str:
    """An error's own words out of its body, which is JSON on most endpoints."""
    try:
        error = json.loads(body)
        error = error.get("error", error) if isinstance(error, dict) else error
        return str(error.get("message", error)) if isinstance(error, dict) else str(error)
    except (ValueError, RecursionError):
        return body
