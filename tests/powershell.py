"""What a PowerShell grammar says of a text; there is no PowerShell where these tests run."""

from __future__ import annotations

import re

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_powershell.language()))
_ONLY_IN_7 = (
    r"\s(?:&&|\|\|)\s",
    r"\?\?",
    r"\$\w+\?[.\[]",
    r"-AsHashtable\b",
    r"-Parallel\b",
    r"\s-SkipCertificateCheck\b",
)
"""Words that Windows PowerShell 5.1 does not know. Source: Microsoft Learn, "Differences between Windows PowerShell 5.1
and PowerShell 7.x"."""


def faults(text: str) -> list[str]:
    """Where the text is no PowerShell, or not that of 5.1 too; empty when it is."""
    found = [f"only PowerShell 7 knows {match[0].strip()}" for word in _ONLY_IN_7 for match in re.finditer(word, text)]
    stack: list[Node] = [_PARSER.parse(text.encode()).root_node]
    while stack:
        node = stack.pop()
        if node.is_missing or node.type == "ERROR":
            line = text.splitlines()[node.start_point.row] if text else ""
            found.append(f"line {node.start_point.row + 1}: {line.strip()}")
        stack.extend(node.children)
    return found


def variables(text: str) -> set[str]:
    """The names of the environment's variables that the text reads."""
    return set(re.findall(r"\$env:(\w+)", text))
