"""Signing in and out, the page's own files, and how errors look."""

from __future__ import annotations

import html
from importlib.resources import files

from flask import Blueprint, Response, g, request

from learner.local_forge.api.request import forge
from learner.local_forge.refusal import Refusal
from learner.local_forge.web.desk import HEADERS, check_same_page, cookie_name, inside, page, sessions, signed_in, to

door = Blueprint("web_door", __name__)
_STATIC = {"style.css": "text/css", "page.js": "text/javascript", "mark.svg": "image/svg+xml"}


@door.get("/static/<name>")
def static(name: str) -> Response:
    if name not in _STATIC:
        raise Refusal(404, "There is no such page here.")
    data = files("learner.local_forge").joinpath("static", name).read_bytes()
    return Response(
        data, headers=HEADERS | {"Cache-Control": "no-cache"}, content_type=f"{_STATIC[name]}; charset=utf-8"
    )


@door.get("/avatar/<login>.svg")
def avatar(login: str) -> Response:
    """A user's first letter on a colour of their own. GitHub's answers name an avatar, so there is one."""
    user = forge().users.named(login)
    hue = (user.id if user else 0) % 360
    letter = html.escape(login[:1].upper() or "?")
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40" width="40" height="40">'
        f'<rect width="40" height="40" rx="20" fill="hsl({hue} 45% 38%)"/>'
        '<text x="20" y="27" text-anchor="middle" font-family="system-ui,sans-serif" font-size="19" fill="#fff">'
        f"{letter}</text></svg>"
    )
    return Response(
        svg, headers=HEADERS | {"Content-Security-Policy": "default-src 'none'"}, content_type="image/svg+xml"
    )


@door.get("/login")
def login() -> Response:
    """A ticket signs in at once; without one a token is asked for."""
    ticket = request.args.get("ticket")
    if ticket:
        who = sessions().redeem(ticket)
        if who:
            return _enter(who, "/")
        return page(
            "login.html", 401, error="This link was used before, or is too old. Paste a token instead.", then="/"
        )
    if signed_in():
        return to(inside(request.args.get("then")))
    return page("login.html", error="", then=inside(request.args.get("then")))


@door.post("/login")
def sign_in() -> Response:
    check_same_page()
    user = forge().users.holding(request.form.get("token", "").strip())
    then = inside(request.form.get("then"))
    if user is None:
        return page("login.html", 401, error="No user has this token.", then=then)
    return _enter(user.login, then)


@door.post("/logout")
def sign_out() -> Response:
    check_same_page()
    sessions().close(request.cookies.get(cookie_name(), ""))
    answer = to("/login")
    answer.delete_cookie(cookie_name())
    return answer


def _enter(who: str, then: str) -> Response:
    answer = to(then)
    answer.set_cookie(cookie_name(), sessions().open(who), httponly=True, samesite="Strict", path="/")
    return answer


def refused(no: Refusal) -> Response:
    """A page that says what went wrong, and where to go from there."""
    if not hasattr(g, "user"):
        signed_in()
    titles = {403: "Not allowed", 404: "Not found", 500: "Something broke"}
    return page("error.html", no.status, title=titles.get(no.status, "That did not work"), words=no.words)
