"""Files and directories.

`actions` holds what a step can do, `probe` what it can ask, `posix` and `windows` how a platform does it.
"""

from __future__ import annotations

from learner.actions.file.actions import ACTIONS
from learner.actions.file.probe import CHECKS, FileProbe

__all__ = ["ACTIONS", "CHECKS", "FileProbe"]
