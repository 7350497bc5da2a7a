"""The write-ahead journal of a run: what is known so far, on disk, so that a killed executor leaves a result behind.

One file a run, `<folder>/<execution id>.jsonl`, locked by the run that writes it. Its first line is the result as
it would stand if nothing more happened; each further line is a step that began or ended; a last one may be the result
itself, when the spool's disk was full. Whoever opens the folder next and gets the lock knows that the run was killed or
could not keep its result, and finishes it. Lines are redacted before they come here.

The file takes its room on the disk before anything is done: what fills up later can't take a run's record away.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from learner.errors import LearnerError
from learner.executor.lock import FileLock
from learner.models.execution import ExecutionResult, ExecutionStatus, StepExecution

SUFFIX = ".jsonl"
KILLED = "written down by the next start of the executor"
"""The note of a result whose executor was killed."""
RESERVED_BYTES = 3 << 20
"""Room for a result as it might end, its steps one by one, and the result itself: a spool keeps at most 1 MiB of each."""


class Journal:
    """The journal of one run."""

    def __init__(self, folder: Path, execution_id: str) -> None:
        """Raises: `LearnerError` when nothing can be written there; then nothing may run."""
        self.path = folder / f"{execution_id}{SUFFIX}"
        self._lock = FileLock(self.path)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.take()
            self._file = self.path.open("r+b", buffering=0)
        except OSError as e:
            raise _unusable(folder, e) from e
        try:
            _reserve(self._file)
        except OSError as e:
            self.close()
            raise _unusable(folder, e) from e

    def started(self, result: Mapping[str, Any]) -> None:
        """Write down, durably, that a run has started: `result` is its provisional JSON.

        Raises: `LearnerError` when that can't be done; then nothing may run.
        """
        try:
            self._write({"result": result})
            os.fsync(self._file.fileno())
        except OSError as e:
            raise _unusable(self.path.parent, e) from e

    def began(self, step_number: int, step_id: str, action: str, phase: str) -> None:
        """Write down what is about to be done. It reaches the disk cache: a killed process leaves it there."""
        self._note({"began": {"step_number": step_number, "step_id": step_id, "action": action, "phase": phase}})

    def ended(self, step: Mapping[str, Any]) -> None:
        """Write down what a step did."""
        self._note({"step": step})

    def final(self, result: Mapping[str, Any]) -> None:
        """Keep the result itself, durably: the spool can't. What was reserved beyond it is given back to the disk.

        Raises: `OSError` when there is no room here either.
        """
        self._write({"final": result})
        self._file.truncate()
        os.fsync(self._file.fileno())

    def _note(self, line: Mapping[str, Any]) -> None:
        # A run that says more than was reserved on a disk that is full goes on: half done is worse, and its result tells.
        with suppress(OSError):
            self._write(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        # The line end stands before it too: whatever a full disk cut off before is a line of its own, and left out.
        left = memoryview(b"\n" + json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        while left:
            left = left[self._file.write(left) or 0 :]

    def close(self) -> None:
        """The run's result is in the spool: the journal is not needed any more."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._lock.free()

    def leave(self) -> None:
        """Keep the journal for the next start: the spool could not keep the result."""
        self._file.close()
        self._lock.free()


def _reserve(file: FileIO) -> None:
    """Take the room of a run's record from the disk now; the file reads as zeros after what is written.

    Raises: `OSError` when there is not as much.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, RESERVED_BYTES)
            return
        except OSError as e:
            # Some file systems can't; then zeros do.
            if e.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    for _ in range(RESERVED_BYTES >> 16):
        file.write(bytes(1 << 16))
    file.seek(0)


def _unusable(folder: Path, e: OSError) -> LearnerError:
    return LearnerError(f"{folder}: {e.strerror}", "nothing was run: free some space or correct the folder's owner")


def abandoned(folder: Path, now: datetime) -> Iterator[tuple[ExecutionResult | None, Path]]:
    """The results of runs whose executor was killed or could not keep them, each with its journal; None: unreadable.

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
    """The result that a journal holds, or the partial one that it tells of."""
    result: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = []
    began: dict[str, Any] | None = None
    for line in path.read_bytes().rstrip(b"\0").split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line that was being written when the end came
        if not isinstance(entry, dict):
            continue
        if "final" in entry:
            return ExecutionResult.model_validate_json(json.dumps(entry["final"]))
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
        "notes": KILLED,
    }
    return ExecutionResult.model_validate_json(json.dumps(result))
