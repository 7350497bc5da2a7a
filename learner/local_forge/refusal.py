"""The forge's way of saying no, in GitHub's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from learner.errors import LearnerError

DOCS = "https://docs.github.com/rest"


class Refusal(LearnerError):
    """A request that is not granted: an HTTP status, a message, and GitHub's list of errors.

    Source: GitHub docs, "Troubleshooting the REST API".
    """

    def __init__(self, status: int, message: str, errors: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.errors = list(errors)

    def body(self) -> dict[str, Any]:
        """GitHub's error body."""
        said: dict[str, Any] = {"message": self.message}
        if self.errors:
            said["errors"] = self.errors
        return said | {"documentation_url": DOCS, "status": str(self.status)}

    @property
    def words(self) -> str:
        """One line for a person: the errors' own messages where there are some."""
        said = [
            e if isinstance(e, str) else str(e.get("message") or f"{e.get('field', '')} {e.get('code', '')}".strip())
            for e in self.errors
        ]
        return "; ".join(said) or self.message


def not_found() -> Refusal:
    return Refusal(404, "Not Found")


def forbidden(role: str = "write") -> Refusal:
    words = {"admin": "Must have admin rights to Repository.", "write": "Must have push access to repository"}
    return Refusal(403, words.get(role, "Resource not accessible by personal access token"))


def invalid(resource: str, message: str | None = None, *, field: str | None = None, code: str = "custom") -> Refusal:
    """422 Validation Failed, with one error in GitHub's shape."""
    error = {"resource": resource, "field": field, "code": code, "message": message}
    return Refusal(422, "Validation Failed", [{k: v for k, v in error.items() if v is not None}])


def unprocessable(*errors: str) -> Refusal:
    """422 with plain sentences, the shape the review operations use."""
    return Refusal(422, "Unprocessable Entity", errors)
