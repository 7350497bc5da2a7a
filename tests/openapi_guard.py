"""Holds every request to a forge, and every answer, against GitHub's own OpenAPI description.

`guarding()` hooks `requests.Session.send`, which PyGithub and everybody else goes through. Only addresses below
`/api/v3/` are looked at. A test that leaves the description raises `NotAsGitHub` where the request was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import requests
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathNotFound
from openapi_core.validation.request.exceptions import RequestValidationError

DESCRIPTION = Path(__file__).parent / "data" / "github-openapi" / "api.github.com.subset.json"
SERVER = "https://api.github.com"

# Answers GitHub gives everywhere and describes nowhere: they carry its plain error body.
_EVERYWHERE = {400, 401, 403, 404, 405, 409, 413, 415, 422, 500}

# Paths that may hold slashes, which a path template does not match unescaped.
_SLASHED = re.compile(
    r"^(/repos/[^/]+/[^/]+/(?:contents|git/ref|git/refs|git/matching-refs|git/trees|compare|labels|rules/branches"
    r"|branches|commits))/(.+?)((?:/protection(?:/.*)?|/status|/statuses|/check-runs|/pulls)?)$"
)

# The older address of a commit's statuses, which PyGithub still asks.
_OLD_STATUSES = re.compile(r"/statuses/([^/]+)$")

# What PyGithub sends and GitHub takes though its description leaves it out: a bare list of labels, and a branch
# protection with null for what is not set.
_SENT_OTHERWISE = re.compile(r"/issues/\d+/labels$|/branches/[^/]+/protection$")


class NotAsGitHub(AssertionError):
    """A request or an answer that GitHub's description does not allow."""


@dataclass
class Seen:
    """What went through the guard: (method, path template, status) each."""

    calls: list[tuple[str, str, int]] = field(default_factory=list)


@cache
def _description() -> tuple[OpenAPI, list[tuple[str, re.Pattern[str]]]]:
    spec: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    spec = _either(spec)
    spec["servers"] = [{"url": SERVER}]
    templates = [(path, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$")) for path in spec["paths"]]
    return OpenAPI.from_dict(spec, config=Config(spec_validator_cls=None)), templates


def _either(node: Any) -> Any:
    """The description with `anyOf` for `oneOf`, and without discriminators.

    Several of GitHub's alternatives overlap, such as its error bodies, and the content of a folder is a list, which
    has no property to tell it by. A nullable enum takes null, as GitHub means it.
    """
    if isinstance(node, dict):
        if node.get("nullable") and isinstance(node.get("enum"), list):
            node = node | {"enum": [*node["enum"], None]}
        return {("anyOf" if k == "oneOf" else k): _either(v) for k, v in node.items() if k != "discriminator"}
    return [_either(item) for item in node] if isinstance(node, list) else node


@contextmanager
def guarding() -> Iterator[Seen]:
    """While this lasts, every call of `requests` to `…/api/v3/…` is checked on its way out and back."""
    real, seen = requests.Session.send, Seen()

    def send(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = real(self, request, **options)
        if "/api/v3/" in (request.url or ""):
            seen.calls.append(check(request, response))
        return response

    requests.Session.send = send  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        requests.Session.send = real  # type: ignore[method-assign]


def check(request: requests.PreparedRequest, response: requests.Response) -> tuple[str, str, int]:
    """The call's method, path template and status.

    Raises: `NotAsGitHub` when the description has no such operation, the answer has another shape, or a request
    that was granted should not have been.
    """
    api, templates = _description()
    translated = _translate(request)
    path = urlsplit(translated.url or "").path
    template = next((name for name, pattern in templates if pattern.match(path)), None)
    if template is None:
        raise NotAsGitHub(f"{request.method} {path}: GitHub's description has no such path")
    call = (str(request.method), template, response.status_code)
    openapi_request = RequestsOpenAPIRequest(translated)
    try:
        if response.ok and not _SENT_OTHERWISE.search(path):
            api.validate_request(openapi_request)
        if response.status_code in _EVERYWHERE and not _describes(template, str(request.method), response.status_code):
            _check_error(call, response)
        else:
            api.validate_response(openapi_request, RequestsOpenAPIResponse(response))
    except PathNotFound as e:
        raise NotAsGitHub(f"{request.method} {path}: {e}") from e
    except RequestValidationError as e:
        raise NotAsGitHub(f"request {call}: {_reasons(e)}\n{request.body!r:.1000}") from e
    except OpenAPIError as e:
        raise NotAsGitHub(f"answer {call}: {_reasons(e)}\n{response.text[:3000]}") from e
    return call


@cache
def _describes(template: str, method: str, status: int) -> bool:
    spec = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return str(status) in spec["paths"][template].get(method.lower(), {}).get("responses", {})


def _check_error(call: tuple[str, str, int], response: requests.Response) -> None:
    said = response.json()
    if not (
        isinstance(said, dict)
        and isinstance(said.get("message"), str)
        and isinstance(said.get("documentation_url"), str)
    ):
        raise NotAsGitHub(f"answer {call}: not GitHub's error body: {response.text[:500]}")


def _translate(request: requests.PreparedRequest) -> requests.PreparedRequest:
    parts = urlsplit(request.url or "")
    path = parts.path.split("/api/v3", 1)[1]
    path = re.sub(r"/contents/?$", "/contents/%2E", path)  # the root folder, which the description forgets
    if request.method == "GET":
        path = _OLD_STATUSES.sub(r"/commits/\1/statuses", path)
    if found := _SLASHED.match(path):
        path = f"{found[1]}/{quote(found[2], safe='%')}{found[3]}"
    copy = request.copy()
    copy.url = SERVER + urlunsplit(("", "", path, parts.query, ""))
    return copy


def _reasons(error: BaseException) -> str:
    words, at = [], error
    while at is not None:
        details = getattr(at, "schema_errors", None)
        words += [f"{'/'.join(map(str, d.absolute_path))}: {d.message:.300}" for d in details] if details else [str(at)]
        at = at.__cause__  # type: ignore[assignment]
    return "; ".join(words)
