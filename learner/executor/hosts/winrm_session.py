"""One connection to a Windows host over WinRM, by way of pypsrp (the `winrm` extra)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from learner.actions.host import HostError
from learner.errors import LearnerError

PASSWORD_ENV = "LEARNER_WINRM_PASSWORD"  # noqa: S105 the variable's name


class Asks(Protocol):
    """What a `WinRmHost` needs of its connection."""

    def ask(self, script: str, seconds: float, **values: Any) -> dict[str, Any] | None:
        """The table that a script gave; None when it took longer than `seconds` or the run was cancelled."""
        ...

    def close(self) -> None: ...


class Session:
    """PowerShell on the host, in one runspace; whoever asks while it is busy waits."""

    def __init__(self, host: str, port: int | None, user: str | None, *, cancelled: Callable[[], bool]) -> None:
        """The password is read from `LEARNER_WINRM_PASSWORD`; without one Kerberos or the logged-on user is tried.

        Raises: `LearnerError` when the extra is missing or the host can't be reached.
        """
        try:
            from pypsrp.powershell import RunspacePool
            from pypsrp.wsman import WSMan
        except ImportError as e:
            raise LearnerError("winrm:// needs pypsrp", "pip install 'runbook-learner[winrm]'") from e
        self._host = host
        self._cancelled = cancelled
        # State capture asks several things at once; a runspace does one at a time.
        self._turn = threading.Lock()
        try:
            self._connection = WSMan(
                host, port=port or 5986, username=user, password=os.environ.get(PASSWORD_ENV), ssl=True,
                cert_validation=True, auth="negotiate", connection_timeout=15,
            )  # fmt: skip
            self._pool: Any = RunspacePool(self._connection)
            self._pool.open()
        except Exception as e:  # pypsrp and what it stands on raise families of their own
            raise LearnerError(
                f"{host}: {type(e).__name__}: {e}", f"check WinRM over HTTPS there, and {PASSWORD_ENV}"
            ) from e

    def close(self) -> None:
        """Give the connection up."""
        try:
            self._pool.close()
            self._connection.close()
        except Exception:  # it is given up either way
            return

    def ask(self, script: str, seconds: float, **values: Any) -> dict[str, Any] | None:
        """The table that a script gave; None when it took longer than `seconds` or the run was cancelled.

        Raises: `HostError` when the connection breaks or there is no table.
        """
        from pypsrp.powershell import PowerShell, PSInvocationState

        ends_at = time.monotonic() + seconds
        with self._turn:
            shell: Any = PowerShell(self._pool)
            shell.add_script(script)
            for name, value in values.items():
                shell.add_parameter(name, value)
            try:
                shell.begin_invoke()
                while shell.state == PSInvocationState.RUNNING:
                    if self._cancelled() or time.monotonic() > ends_at:
                        shell.stop()
                        return None
                    shell.poll_invoke(timeout=1)
                given = shell.end_invoke()
            except Exception as e:  # pypsrp and what it stands on raise families of their own
                raise HostError(f"{self._host}: {type(e).__name__}: {e}", "unreachable") from e
        if not given or not isinstance(given[-1], dict):
            raise HostError(f"{self._host}: PowerShell gave no answer")
        return {str(key): value for key, value in given[-1].items()}
