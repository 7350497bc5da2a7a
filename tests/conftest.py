"""Guards: no test reaches the network beyond loopback, the home directory, or the settings of the person who runs it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# People's machines look for new counter-examples; CI says the same of the same commit every time.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("LEARNER_NO_SKIPS") == "1":
    hypothesis.settings.load_profile("ci")

_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not (
        address[0].startswith("127.") or address[0] in ("::1", "localhost")
    ):
        raise AssertionError(f"a test tried to reach {address}; only loopback is allowed")
    _connect(self, address)


@pytest.fixture(autouse=True)
def _guards(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for name in list(os.environ):
        if (
            name.startswith(
                ("GIT_", "GITHUB_", "LEARNER_", "OPENAI_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
            )
            and name != "LEARNER_NO_SKIPS"
        ):
            monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """With `LEARNER_NO_SKIPS=1` a skipped test is a failed one: on CI everything is there."""
    report = yield
    if report.skipped and os.environ.get("LEARNER_NO_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, but skips are failures here: {report.longrepr}"
    return report


@pytest.fixture
def root() -> Path:
    """The repository's root."""
    return Path(__file__).parents[1]
