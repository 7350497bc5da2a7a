"""Shell text taken apart: the simple commands in it, with what quoting, variables and substitutions make of them.

This is no shell. It reads what a reader would: quotes removed, variables that the text itself sets filled in, and
the commands inside `$(…)` listed too. What it can't know stays written as `$NAME`, so that a rule can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from learner.audits.decode import printed
from learner.audits.simple import UNREAD, Simple, escapes

DEEPEST = 12
"""Substitutions inside substitutions that are followed."""

LONGEST_VALUE = 10_000
"""Characters of a variable's value; a longer one counts as unknown."""

_KEYWORDS = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "while",
        "until",
        "do",
        "done",
        "!",
        "{",
        "}",
        "(",
        ")",
        "function",
        "time",
        "coproc",
        "select",
        "esac",
    ]
)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=(.*)", re.DOTALL)
_REDIRECT = re.compile(r"([0-9]*|&)(>>|>\||>&|<<<|<<-?|<&|<>|>|<)")
_OPERATOR = re.compile(r"&&|\|\||;;&?|;&|\|&|[;&|()\n]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES = re.compile(r"([^{}]*)\{([^{}\s]*,[^{}\s]*)\}([^{}]*)")
_SPLIT = "\x00"
"""Where a variable with spaces in it, or `$IFS`, parts one word into two."""


def parse(text: str, variables: dict[str, str] | None = None, depth: int = 0) -> list[Simple]:
    """Every simple command in `text`, those inside substitutions included; broken text gives what could be read."""
    if depth > DEEPEST:
        return [Simple((UNREAD,))]
    return _Reader(text, dict(variables or {}), depth).commands()


@dataclass
class _Reader:
    text: str
    variables: dict[str, str]
    depth: int
    at: int = 0
    found: list[Simple] = field(default_factory=list)
    heredocs: list[str] = field(default_factory=list)

    def commands(self) -> list[Simple]:
        pipeline: list[Simple] = []
        words: list[str] = []
        redirects: list[tuple[str, str]] = []
        stdin = ""

        def close(piped: bool) -> None:
            nonlocal words, redirects, stdin
            made = self._command(words, redirects, stdin, tuple(pipeline))
            words, redirects, stdin = [], [], ""
            if made:
                self.found.append(made)
                pipeline.append(made)
            if not piped:
                pipeline.clear()

        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r":
                self.at += 1
            elif char == "#" and (self.at == 0 or self.text[self.at - 1] in " \t\n;&|("):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif redirect := self._redirect():
                operator, target = redirect
                if operator.endswith("<<<"):
                    stdin += target
                elif "<<" in operator:
                    stdin += self._heredoc(target)
                elif target:
                    redirects.append((operator, target))
            elif match := _OPERATOR.match(self.text, self.at):
                self.at = match.end()
                if match[0] == "\n":
                    self._skip_heredocs()
                close(match[0] in ("|", "|&"))
            else:
                words += self._word()
        close(False)
        return self.found

    def _command(
        self, words: list[str], redirects: list[tuple[str, str]], stdin: str, upstream: tuple[Simple, ...]
    ) -> Simple | None:
        while words and words[0] in _KEYWORDS:
            words = words[1:]
        if words[:1] == ["for"] and "in" in words:
            self._set(words[1], " ".join(words[words.index("in") + 1 :]))
            return None
        if words[:1] == ["case"]:
            words = words[3:]
        assigned = []
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            assigned.append((match[1], match[2]))
            self._set(match[1], match[2])
            words = words[1:]
        if words[:1] in (["export"], ["declare"], ["local"], ["readonly"], ["typeset"]):
            for word in words[1:]:
                if match := _ASSIGNMENT.fullmatch(word):
                    self._set(match[1], match[2])
        if words[:1] == ["alias"]:
            for word in words[1:]:
                if match := _ASSIGNMENT.fullmatch(word):
                    self.found += parse(match[2], self.variables, self.depth + 1)
        if not words and not redirects:
            return None
        return Simple(tuple(words), tuple(redirects), upstream, stdin, tuple(assigned), scope=dict(self.variables))

    def _set(self, name: str, value: str) -> None:
        # A text that doubles itself line by line would outgrow any memory.
        self.variables[name] = value if len(value) <= LONGEST_VALUE else f"${name}"

    def _redirect(self) -> tuple[str, str] | None:
        match = _REDIRECT.match(self.text, self.at)
        if not match or (match[1] and self.at and self.text[self.at - 1] not in " \t\n;&|("):
            return None
        if self.text.startswith(("<(", ">("), match.end() - 1) and match[2] in ("<", ">"):
            return None  # a process substitution is a word
        self.at = match.end()
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        target = self._word() if self.at < len(self.text) and self.text[self.at] not in "\n;&|()" else []
        return match[2], " ".join(target)

    def _heredoc(self, end: str) -> str:
        """The body of a here-document that ends with the line `end`; the reader goes on after its own line."""
        line_end = self.text.find("\n", self.at)
        if line_end < 0:
            return ""
        begin = line_end + 1
        lines = []
        for line in self.text[begin:].split("\n"):
            if line.strip() == end:
                break
            lines.append(line)
        self.heredocs.append("\n".join([*lines, end]))
        return "\n".join(lines)

    def _skip_heredocs(self) -> None:
        for body in self.heredocs:
            if self.text.startswith(body.rpartition("\n")[0], self.at):
                self.at = min(len(self.text), self.at + len(body) + 1)
        self.heredocs.clear()

    def _word(self) -> list[str]:
        """The words that one word of the text becomes."""
        parts: list[str] = []
        quoted = False
        begin = self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;&|<>" or (char in "()" and not self.text.startswith(("<(", ">("), self.at - 1)):
                if char in "<>" and self.text.startswith("(", self.at + 1):
                    inside = self._between("(", ")", self.at + 1)
                    self.found += parse(inside, self.variables, self.depth + 1)
                    parts.append(f"<({inside})")
                    continue
                break
            if char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2].replace("\n", ""))
                self.at += 2
            elif char == "'":
                end = self.text.find("'", self.at + 1)
                end = len(self.text) if end < 0 else end
                parts.append(self.text[self.at + 1 : end])
                self.at, quoted = end + 1, True
            elif char == '"':
                parts.append(self._double())
                quoted = True
            elif self.text.startswith("$'", self.at):
                parts.append(self._ansi())
                quoted = True
            elif char in "$`":
                parts.append(self._expansion().replace(" ", _SPLIT).replace("\n", _SPLIT))
            else:
                parts.append(char)
                self.at += 1
        if self.at == begin:
            self.at += 1
        text = "".join(parts)
        words = [word for word in text.split(_SPLIT) if word or quoted]
        return [made for word in words for made in (_braces(word) if not quoted else [word])]

    def _double(self) -> str:
        self.at += 1
        parts: list[str] = []
        while self.at < len(self.text) and self.text[self.at] != '"':
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                parts.append(self.text[self.at + 1].replace("\n", ""))
                self.at += 2
            elif char in "$`":
                parts.append(self._expansion())
            else:
                parts.append(char)
                self.at += 1
        self.at += 1
        return "".join(parts)

    def _ansi(self) -> str:
        end = self.at + 2
        while end < len(self.text) and self.text[end] != "'":
            end += 2 if self.text[end] == "\\" else 1
        raw = self.text[self.at + 2 : end]
        self.at = end + 1
        return escapes(raw)

    def _expansion(self) -> str:
        """What `$…` or a back-quoted command comes to; written as it is when that can't be told."""
        begin = self.at
        if self.text[self.at] == "`":
            end = self.text.find("`", self.at + 1)
            end = len(self.text) if end < 0 else end
            inside, self.at = self.text[self.at + 1 : end], end + 1
            return self._output(inside)
        if self.text.startswith("$((", self.at):
            self._between("(", ")", self.at + 1)
            return self.text[begin : self.at]
        if self.text.startswith("$(", self.at):
            return self._output(self._between("(", ")", self.at + 1))
        if self.text.startswith("${", self.at):
            return self._braced(self._between("{", "}", self.at + 1))
        if match := _NAME.match(self.text, self.at + 1):
            self.at = match.end()
            return self._value(match[0])
        if self.text[self.at + 1 : self.at + 2] in ("@", "*", "?", "$", "!", "#", "0", *"123456789"):
            self.at += 2
            return "" if self.text[begin + 1] in "@*" else self.text[begin : self.at]
        self.at += 1
        return "$"

    def _value(self, name: str) -> str:
        if name == "IFS":
            return " "
        return self.variables.get(name, f"${name}")

    def _braced(self, inside: str) -> str:
        match = _NAME.match(inside.removeprefix("!"))
        if not match:
            return "${" + inside + "}"
        name, rest = match[0], inside.removeprefix("!")[match.end() :]
        value = self.variables.get(name)
        if not rest:
            return self._value(name)
        default = re.fullmatch(r":?[-=](.*)", rest, re.DOTALL)
        if default and self.depth > DEEPEST:
            self.found.append(Simple((UNREAD,)))
        elif default:
            return value or " ".join(_Reader(default[1], self.variables, self.depth + 1)._word() if default[1] else [])
        if cut := re.fullmatch(r":\s*(-?[0-9]+)(?::\s*([0-9]+))?", rest):
            # PATH and its like begin with a slash on every host.
            known = value if value is not None else "/" if name in ("PATH", "HOME", "PWD", "SHELL", "OLDPWD") else None
            if known is not None and (value is not None or (int(cut[1]) == 0 and cut[2] == "1")):
                begin = int(cut[1])
                return known[begin : begin + int(cut[2])] if cut[2] else known[begin:]
        return "${" + inside + "}"

    def _output(self, inside: str) -> str:
        """What a substituted command prints, for the few whose words say it."""
        inner = parse(inside, self.variables, self.depth + 1)
        self.found += inner
        return next((said for command in inner[-1:] if (said := printed(command)) is not None), f"$({inside})")

    def _between(self, opening: str, closing: str, at: int) -> str:
        """The text between the bracket at `at` and its partner; the reader stands behind it afterwards."""
        depth, i = 0, at
        while i < len(self.text):
            char = self.text[i]
            if char == "\\":
                i += 1
            elif char == "'" and opening == "(":
                end = self.text.find("'", i + 1)
                i = end if end > 0 else i
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    break
            i += 1
        self.at = min(i + 1, len(self.text))
        return self.text[at + 1 : i]


def _braces(word: str) -> Iterator[str]:
    match = _BRACES.fullmatch(word)
    if not match:
        yield word
        return
    for choice in match[2].split(","):
        if made := match[1] + choice + match[3]:
            yield made
