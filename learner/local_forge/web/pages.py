"""All pages, put into the application together with what their templates need."""

from __future__ import annotations

from flask import Flask

from learner.local_forge.web import files, pull_page, queue, statistics
from learner.local_forge.web.desk import ago, moment, span
from learner.local_forge.web.door import door, refused

__all__ = ["refused", "register"]


def register(app: Flask) -> None:
    """Mount the pages."""
    app.jinja_env.filters.update(ago=ago, moment=moment, span=span)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.autoescape = True
    app.register_blueprint(door)
    for module in (queue, statistics, pull_page, files):
        app.register_blueprint(module.desk)
