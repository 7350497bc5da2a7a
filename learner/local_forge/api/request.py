"""One API request: who asks, what they sent, which page of a list they want."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, g, jsonify, request
from flask.typing import ResponseReturnValue, RouteCallable

from learner.local_forge.api.shapes import Shapes
from learner.local_forge.forge import Forge
from learner.local_forge.refusal import Refusal, forbidden, not_found
from learner.local_forge.users import User

T = TypeVar("T")
V = TypeVar("V")


def forge() -> Forge:
    return cast("Forge", current_app.config["FORGE"])


def shapes() -> Shapes:
    """Renders records as GitHub does, with links that lead back to this server."""
    return Shapes(forge(), request.host_url.rstrip("/"))


def me() -> User:
    """Who asks."""
    return cast("User", g.user)


def need(role: str) -> User:
    """Who asks. Raises: 403 when their role is weaker."""
    user = me()
    if not user.may(role):
        raise forbidden(role)
    return user


def given_token() -> str | None:
    """The token of the request: `Bearer`, `token` or the password of `Basic`; None without a credential."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return value.strip()
    if scheme.lower() == "basic":
        try:
            login, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return login if password in ("", "x-oauth-basic") else password
    return None


def authenticate() -> User:
    """Raises: 401. Source: GitHub docs, "Authenticating to the REST API"."""
    token = given_token()
    if token is None:
        raise Refusal(401, "Requires authentication")
    user = forge().users.holding(token)
    if user is None:
        raise Refusal(401, "Bad credentials")
    return user


class Room(Blueprint):
    """A blueprint whose every view runs authenticated, in the forge's turn, and on the one repository there is."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"learner.local_forge.api.{name}", url_prefix="/api/v3")
        self._views: dict[Callable[..., ResponseReturnValue], Callable[..., ResponseReturnValue]] = {}

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        assert view_func is not None
        plain = cast("Callable[..., ResponseReturnValue]", view_func)
        view = self._views.setdefault(plain, _entered(plain))  # one view, though it may have two rules
        super().add_url_rule(rule, endpoint, view, provide_automatic_options, **options)


def _entered(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    @wraps(view)
    def run(**values: Any) -> ResponseReturnValue:
        g.user = authenticate()
        here = forge()
        owner, name = values.pop("owner", here.owner), values.pop("repo", here.name)
        if "\0" in request.path or any("\0" in value for value in request.args.values()):
            raise not_found()
        if f"{owner}/{name}".lower() != here.full_name.lower():
            raise not_found()
        with here.turn():
            return view(**values)

    return run


class Body:
    """The JSON a request carries; its readers answer 422 when a value has another type."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def _typed(self, key: str, kinds: type | tuple[type, ...], word: str) -> Any:
        value = self.data.get(key)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int)):
            raise Refusal(422, f"Invalid request.\n\nFor 'properties/{key}', {value!r:.80} is not {word}.")
        return value

    def text(self, key: str) -> str | None:
        value = cast("str | None", self._typed(key, str, "a string"))
        if value is not None and not speakable(value):
            raise Refusal(
                422, f"Invalid request.\n\nFor 'properties/{key}', the text holds characters that can't be stored."
            )
        return value

    def required(self, key: str) -> str:
        """Raises: 422 when it is missing."""
        value = self.text(key)
        if value is None:
            raise Refusal(422, f'Invalid request.\n\n"{key}" wasn\'t supplied.')
        return value

    def number(self, key: str) -> int | None:
        return cast("int | None", self._typed(key, int, "an integer"))

    def flag(self, key: str) -> bool | None:
        return cast("bool | None", self._typed(key, bool, "a boolean"))

    def mapping(self, key: str) -> dict[str, Any] | None:
        return cast("dict[str, Any] | None", self._typed(key, dict, "an object"))

    def items(self, key: str) -> list[Any] | None:
        return cast("list[Any] | None", self._typed(key, list, "an array"))

    def names(self, key: str, inner: str = "name") -> list[str] | None:
        """A list of texts, or of objects with one."""
        values = self.items(key)
        return None if values is None else names_in(values, inner)


def speakable(text: str) -> bool:
    """False for text that neither git nor UTF-8 can hold: a null character, half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def names_in(values: Sequence[Any], inner: str = "name") -> list[str]:
    """The texts of a list whose items are texts or objects that hold one under `inner`. Raises: 422."""
    found = [v.get(inner) if isinstance(v, dict) else v for v in values]
    if not all(isinstance(v, str) and speakable(v) for v in found):
        raise Refusal(422, "Invalid request.\n\nA list of strings was expected.")
    return [str(v) for v in found]


def sent() -> Any:
    """The request's JSON value; an empty object without a body. Raises: 400."""
    if not request.get_data():
        return {}
    value = request.get_json(force=True, silent=True)
    if value is None and request.get_data().strip() != b"null":
        raise Refusal(400, "Problems parsing JSON")
    return value if value is not None else {}


def body() -> Body:
    """The request's JSON object. Raises: 400."""
    value = sent()
    if not isinstance(value, dict):
        raise Refusal(400, "Body should be a JSON object")
    return Body(value)


def said(value: Any, status: int = 200) -> Response:
    answer = jsonify(value)
    answer.status_code = status
    return answer


def nothing() -> Response:
    return Response(status=204)


def page_of(items: Sequence[V]) -> tuple[list[V], dict[str, str]]:
    """One page of a list, and its `Link` header. Source: GitHub docs, "Using pagination in the REST API"."""
    size = min(max(_integer("per_page", 30), 1), 100)
    page = max(_integer("page", 1), 1)
    last = max(-(-len(items) // size), 1)
    wanted = {"next": page + 1, "last": last} if page < last else {}
    if page > 1:
        wanted |= {"first": 1, "prev": page - 1}
    links = []
    for rel, number in wanted.items():
        query = [(k, v) for k, v in request.args.items(multi=True) if k != "page"] + [("page", str(number))]
        links.append(f'<{request.base_url}?{urlencode(query)}>; rel="{rel}"')
    return list(items[(page - 1) * size : page * size]), {"Link": ", ".join(links)} if links else {}


def paged(items: Sequence[V], shape: Callable[[V], Any]) -> Response:
    """One page of a list, each item shaped."""
    shown, headers = page_of(items)
    answer = said([shape(item) for item in shown])
    answer.headers.update(headers)
    return answer


def _integer(name: str, default: int) -> int:
    value = request.args.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else default


def found(value: T | None) -> T:
    """The value itself. Raises: 404 for None."""
    if value is None:
        raise not_found()
    return value
