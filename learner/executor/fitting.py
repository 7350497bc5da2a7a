"""A result that is too long to be kept is cut where it is longest: what happened is never lost for how much was said."""

from __future__ import annotations

import json
from typing import Any

from learner.models.execution import ExecutionResult

_LONGEST = (16384, 4096, 1024, 256)
"""Characters that a text may have left; the next is tried when the one before was not enough."""
_SPOKEN = ("executed_steps", "checks", "error_message", "error_traceback", "notes", "parameters", "state_before",
           "state_after", "state_diff")  # fmt: skip


def fitted(result: ExecutionResult, max_bytes: int) -> ExecutionResult:
    """`result`, whose JSON has at most `max_bytes`: long texts keep head and tail, and say how much is left out.

    Secrets are to be masked before: a secret that is cut in two is not found any more. A result that has nothing left
    to cut comes back as short as it could be made.
    """
    for longest in _LONGEST:
        # Kept with line breaks and indents: they take their room too.
        if len(result.model_dump_json(indent=1).encode()) < max_bytes:
            break
        tree = result.model_dump(mode="json")
        cut = tree | {key: _cut(tree[key], longest) for key in _SPOKEN}
        result = ExecutionResult.model_validate_json(json.dumps(cut))
    return result


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        tail = longest // 4
        left_out = len(value) - longest
        return f"{value[: longest - tail]}\n… {left_out} characters left out …\n{value[-tail:]}"
    if isinstance(value, list):
        return [_cut(item, longest) for item in value]
    if isinstance(value, dict):
        return {key: _cut(item, longest) for key, item in value.items()}
    return value
