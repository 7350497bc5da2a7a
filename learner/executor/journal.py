"""The write-ahead journal of a run: what is known so far, on disk, so that a killed executor leaves a result behind.

One file a run, `<folder>/<execution id>.jsonl`, locked by the run that writes it. Its first line is the result as
it would stand if nothing more happened; each further line is a step that began or ended. Whoever opens the folder
next and gets the lock knows that the run was killed, and finishes its result. Lines are redacted before they come here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learner.errors import LearnerError
from learner.executor.lock import FileLock
from learner.models.execution import ExecutionResult, ExecutionStatus, StepExecution

SUFFIX = ".jsonl"


class Journal:
    """The journal of one run."""

    def __init__(self, folder: Path, execution_id: str) -> None:
        """Raises: `LearnerError` when nothing can be written there; then nothing may run."""
        self.path = folder / f"{execution_id}{SUFFIX}"
        self._lock = FileLock(self.path)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.take()
            self._file = self.path.open("ab", buffering=0)
        except OSError as e:
            raise LearnerError(
                f"{folder}: {e.strerror}", "nothing was run: free some space or correct the folder's owner"
            ) from e

    def started(self, result: Mapping[str, Any]) -> None:
        """Write down, durably, that a run has started: `result` is its provisional JSON."""
        self._write({"result": result})
        os.fsync(self._file.fileno())

    def began(self, step_number: int, step_id: str, action: str, phase: str) -> None:
        """Write down what is about to be done. It reaches the disk cache: a killed process leaves it there."""
        self._write({"began": {"step_number": step_number, "step_id": step_id, "action": action, "phase": phase}})

    def ended(self, step: Mapping[str, Any]) -> None:
        """Write down what a step did."""
        self._write({"step": step})

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        except OSError:
            # A disk that fills up in the middle of a run must not stop it half way; the spool tells at its end.
            return

    def close(self) -> None:
        """The run's result is in the spool: the journal is not needed any more."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._lock.free()

    def leave(self) -> None:
        """Keep the journal for the next start: the result could not be kept."""
        self._file.close()
        self._lock.free()


def abandoned(folder: Path, now: datetime) -> Iterator[tuple[ExecutionResult | None, Path]]:
    """The results of runs whose executor was killed, each with its journal; None when it can't be read.

    A journal is the caller's to remove once its result is safe. It stays locked until the next one is asked for.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        lock = FileLock(path)
        try:
            if not lock.take():
                continue
        except OSError:
            continue
        try:
            if path.exists():
                try:
                    result = _finished(path, now)
                except (KeyError, TypeError, ValueError, OSError):
                    result = None  # it was damaged, or another version wrote it
                yield result, path
        finally:
            lock.free()


def _finished(path: Path, now: datetime) -> ExecutionResult | None:
    """The partial result that a journal tells of."""
    result: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = []
    began: dict[str, Any] | None = None
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line that was being written when the end came
        if not isinstance(entry, dict):
            continue
        if "result" in entry:
            result = entry["result"]
        elif "began" in entry:
            began = entry["began"]
        elif "step" in entry:
            steps.append(entry["step"])
            began = None
    if result is None:
        return None
    last = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    error_step = None
    words = "the executor was killed before the run ended"
    if began:
        words += f", in step {began['step_number']} ({began['step_id']}: {began['action']})"
        steps.append(
            StepExecution(
                step_number=began["step_number"], step_id=began["step_id"], phase=began["phase"],
                action=began["action"], success=False, error="cut off: the executor was killed",
            ).model_dump(mode="json")
        )  # fmt: skip
        error_step = began["step_number"]
    result |= {
        "executed_steps": steps,
        "status": ExecutionStatus.PARTIAL.value,
        "success": False,
        "verification_passed": None,
        "error_message": words,
        "error_step": error_step,
        # the clock may have been set meanwhile: a run does not end before it began
        "completed_at": max(min(last, now), datetime.fromisoformat(result["started_at"])).isoformat(),
        "duration_seconds": None,
        "notes": "written down by the next start of the executor",
    }
    return ExecutionResult.model_validate_json(json.dumps(result))
