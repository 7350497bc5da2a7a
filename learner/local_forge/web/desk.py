"""The ground of every page: who is signed in, whether a form came from our own page, and what all templates share."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, cast
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, current_app, g, render_template, request
from flask.typing import ResponseReturnValue, RouteCallable

from learner.local_forge.api.request import forge
from learner.local_forge.refusal import Refusal
from learner.local_forge.users import User
from learner.local_forge.web.sessions import Session, Sessions

# No script, style, image or frame from anywhere else, and nothing inline: text from a proposal stays text.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def sessions() -> Sessions:
    return cast("Sessions", current_app.config["SESSIONS"])


def cookie_name() -> str:
    """Cookies know no ports, so two forges on one host need two names."""
    return f"learner_forge_{request.environ['SERVER_PORT']}"


def session() -> Session:
    return cast("Session", g.session)


def me() -> User:
    """Who is signed in."""
    return cast("User", g.user)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A page with its headers."""
    here = forge()
    text = render_template(
        template,
        forge=here,
        me=g.get("user"),
        csrf=session().csrf if g.get("session") else "",
        base=f"/{here.full_name}",
        now=here.clock(),
        **values,
    )
    return Response(text, status, HEADERS, content_type="text/html; charset=utf-8")


def to(path: str) -> Response:
    """Sends the browser to another page of ours, by GET."""
    answer = Response(status=303, headers=HEADERS)
    answer.headers["Location"] = path
    return answer


def signed_in() -> bool:
    """Whether a session goes with this request; it is put where the page finds it."""
    found = sessions().find(request.cookies.get(cookie_name(), ""))
    user = forge().users.named(found.login) if found else None
    if found is None or user is None:
        return False
    g.session, g.user = found, user
    return True


def check_same_page() -> None:
    """Raises: 403 unless a form was sent by our own page.

    The browser says where a form came from (`Origin`, `Sec-Fetch-Site`); the session's own secret in the form
    proves it. Source: OWASP Cheat Sheet, "Cross-Site Request Forgery Prevention".
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    own = request.host_url.rstrip("/")
    if (origin is None and site is None) or origin not in (None, own) or site not in (None, "same-origin"):
        raise Refusal(403, "This form was not sent by this page.")


class Desk(Blueprint):
    """A blueprint for people who are signed in: everybody else is sent to the door."""

    def __init__(self, name: str) -> None:
        super().__init__(f"web_{name}", f"learner.local_forge.web.{name}")

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        assert view_func is not None
        view = _seated(cast("Callable[..., ResponseReturnValue]", view_func))
        super().add_url_rule(rule, endpoint, view, provide_automatic_options, **options)


def _seated(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    @wraps(view)
    def run(**values: Any) -> ResponseReturnValue:
        if not signed_in():
            then = request.full_path.rstrip("?") if request.method == "GET" else "/"
            return to(f"/login?then={quote(then)}")
        here = forge()
        owner, name = values.pop("owner", here.owner), values.pop("repo", here.name)
        if "\0" in request.path or f"{owner}/{name}".lower() != here.full_name.lower():
            raise Refusal(404, "There is no such page here.")
        if request.method == "POST":
            check_same_page()
            if not secrets.compare_digest(request.form.get("csrf", "").encode(), session().csrf.encode()):
                raise Refusal(403, "This form is too old. Load the page again.")
        with here.turn():
            return view(**values)

    return run


def inside(target: str | None) -> str:
    """`target` when it is a path of this server, else the list."""
    parts = urlsplit(target or "")
    safe = target and target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc
    return target if safe and target else "/"


def moment(text: str) -> float:
    """Seconds since the epoch of a UTC time such as `2026-11-22T05:00:00Z`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def ago(text: str | None, now: float) -> str:
    """How long ago, in one unit: `3 hours ago`."""
    if not text:
        return ""
    return f"{span(now - moment(text))} ago" if now - moment(text) >= 60 else "just now"


def span(seconds: float) -> str:
    """A length of time in one unit: `3 hours`."""
    seconds = max(seconds, 0)
    for size, unit in ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "under a minute"
