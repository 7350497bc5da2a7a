from __future__ import annotations

from flask import Flask, Response

from learner.local_forge.refusal import Refusal


def register(app: Flask) -> None:
    @app.get("/")
    def index() -> Response:
        return Response("ok")


def refused(no: Refusal) -> Response:
    return Response(no.words, no.status)
