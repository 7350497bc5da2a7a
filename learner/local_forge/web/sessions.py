"""Who sits in front of the browser: one-time tickets, sessions, and the proof that a form came from our own page."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

TICKET_SECONDS = 3600.0
SESSION_SECONDS = 12 * 3600.0


@dataclass(frozen=True)
class Session:
    login: str
    csrf: str = field(repr=False)
    until: float


class Sessions:
    """Tickets and sessions, in memory: a restart signs everybody out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: dict[str, tuple[str, float]] = {}
        self._sessions: dict[str, Session] = {}

    def ticket(self, login: str) -> str:
        """A secret that opens one session for `login` within the hour."""
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets[ticket] = (login, self._clock() + TICKET_SECONDS)
        return ticket

    def redeem(self, ticket: str) -> str | None:
        """The login of a ticket, which is used up; None when it is unknown, used, or too old."""
        with self._lock:
            login, until = self._tickets.pop(ticket, ("", 0.0))
        return login if until > self._clock() else None

    def open(self, login: str) -> str:
        """A new session's secret, for the cookie."""
        secret = secrets.token_urlsafe(24)
        with self._lock:
            now = self._clock()
            self._sessions = {k: s for k, s in self._sessions.items() if s.until > now}
            self._sessions[secret] = Session(login, secrets.token_urlsafe(24), now + SESSION_SECONDS)
        return secret

    def find(self, secret: str) -> Session | None:
        with self._lock:
            session = self._sessions.get(secret)
        return session if session and session.until > self._clock() else None

    def close(self, secret: str) -> None:
        with self._lock:
            self._sessions.pop(secret, None)
