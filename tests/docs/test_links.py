"""Every link between documents leads somewhere, to its heading too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.sandbox import ROOT

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md")), ROOT / "telemetry/README.md"]
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


def prose(path: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings: lower case, without punctuation, dashes for spaces."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for match in _LINK.finditer(prose(path)):
        target = (path.parent / match["path"]).resolve() if match["path"] else path
        assert target.exists(), f"{path.name} links to {match['path']}"
        if match["anchor"] and target.suffix == ".md":
            assert match["anchor"] in anchors(target), f"{path.name} links to {match['path']}#{match['anchor']}"
