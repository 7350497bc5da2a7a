"""One host for each test module of runbooks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runbooks.host import BrokenHost


@pytest.fixture(scope="module")
def narrow() -> Iterator[None]:
    """A terminal's width in the environment, as some job runners set it: ps cuts command lines there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "40")
        yield


@pytest.fixture(scope="module")
def host(narrow: None) -> Iterator[BrokenHost]:
    # A socket's path is short (unix(7): 108 bytes); pytest's own folders are not.
    folder = Path(tempfile.mkdtemp(prefix="rb-"))
    made = BrokenHost(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
