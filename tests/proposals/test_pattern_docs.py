"""docs/patterns.md lists every pattern; its example is one of them."""

from __future__ import annotations

from pathlib import Path

from learner.actions import FAMILIES, catalogue
from learner.proposals.patterns import builtin


def table() -> str:
    """The list as the page has it."""
    family = catalogue().family
    lines = ["| pattern | repairs | fires on |", "|---|---|---|"]

    def of(actions: tuple[str, ...]) -> int:
        return min(FAMILIES.index(family[name]) for name in actions)

    for pattern in sorted(builtin(), key=lambda p: (of((*p.match.actions, *p.match.checks)), p.id)):
        on = ", ".join(f"`{name}`" for name in (*pattern.match.actions, *pattern.match.checks))
        lines.append(f"| [{pattern.id}](../runbooks/patterns/{pattern.id}.yaml) | {pattern.title} | {on} |")
    return "\n".join(lines)


def test_the_page_lists_every_pattern(root: Path) -> None:
    page = (root / "docs/patterns.md").read_text()
    assert page.endswith("## The patterns\n" + table() + "\n"), "write the list anew: it is table() of this test"


def test_the_pages_example_is_a_pattern_of_ours(root: Path) -> None:
    page = (root / "docs/patterns.md").read_text()
    assert (root / "runbooks/patterns/dependency-unit-failed.yaml").read_text() in page
