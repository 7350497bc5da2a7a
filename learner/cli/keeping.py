"""A run's record while it goes on: written ahead, every secret masked, kept whatever becomes of the executor or its disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from learner.errors import LearnerError
from learner.executor.fitting import fitted
from learner.executor.journal import Journal
from learner.executor.run import Ran
from learner.flow import Attempt
from learner.models.execution import ExecutionResult, StepExecution
from learner.telemetry.redact import Redactor
from learner.telemetry.spool import Spool


class Kept:
    """Writes a run ahead into its journal, with every secret masked."""

    def __init__(
        self, folder: Path, execution_id: str, patterns: Sequence[str], shown: Callable[[StepExecution], None]
    ) -> None:
        self._journal = Journal(folder, execution_id)
        self._patterns = patterns
        self._redactor = Redactor(patterns=patterns)
        self._shown = shown
        self._begun = False

    def started(self, provisional: ExecutionResult, secrets: tuple[str, ...]) -> None:
        self._redactor = Redactor(secrets, self._patterns)
        self._journal.started(self._redactor.result(provisional).model_dump(mode="json"))
        self._begun = True

    def began(self, attempt: Attempt) -> None:
        self._journal.began(attempt.step_number, attempt.step.id, attempt.action.name, attempt.phase)

    def ended(self, step: StepExecution) -> None:
        masked = self._redactor.json(step.model_dump(mode="json"))
        self._journal.ended(masked)
        self._shown(step.model_copy(update={"output": masked["output"], "error": masked["error"]}))

    def rescue(self, ran: Ran, spool: Spool, why: LearnerError) -> tuple[ExecutionResult, bool]:
        """The result, and whether the spool has it now; else it is in the journal, for the next start.

        Raises: `why` when the journal has no room for it either.
        """
        result = fitted(Redactor(ran.secrets, self._patterns).result(ran.result), spool.max_result_bytes)
        try:
            self._journal.final(result.model_dump(mode="json"))
        except OSError:
            raise why from None
        # What was reserved for it is free now: on a disk that filled up that is the room it needs.
        with suppress(LearnerError):
            spool.add(result)
            return result, True
        return result, False

    def close(self, *, kept: bool) -> None:
        """`kept`: the result is in the spool. What never began leaves nothing behind."""
        if kept or not self._begun:
            self._journal.close()
        else:
            self._journal.leave()
