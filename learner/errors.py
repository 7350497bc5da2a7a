"""The one exception family of this project.

Failures of the world (a step that failed, a file that was skipped, a refused proposal) are values.
What is raised is a broken promise: something the caller asked for can't be done at all.
"""

from __future__ import annotations


class LearnerError(Exception):
    """An expected error: one line saying what and where, and a hint saying what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class Refused(LearnerError):
    """A gate or a block said no. Exit code 10."""

    exit_code = 10


class GitError(LearnerError):
    """Git answered with an error; `stderr` holds its own words."""

    def __init__(self, message: str, hint: str | None = None, *, stderr: str = "", exit_status: int = 1) -> None:
        super().__init__(message, hint)
        self.stderr = stderr
        self.exit_status = exit_status


class ForgeError(LearnerError):
    """The forge answered with an error; `status` is its HTTP status, 0 when it could not be reached."""

    def __init__(self, message: str, hint: str | None = None, *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status
