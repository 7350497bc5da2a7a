"""What an interpreter runs, by its command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class _Interpreter:
    """How a command line names what an interpreter runs."""

    programs: str
    code: tuple[str, ...] = ()
    """Options after which code stands instead of a script."""
    valued: tuple[str, ...] = ()
    """Options that take the next word with them."""
    named: tuple[str, ...] = ()
    """Options whose next word is what is run."""


_INTERPRETERS = (
    _Interpreter(r"python[0-9.]*|pypy[0-9.]*", code=("c",), valued=("-W", "-X"), named=("-m",)),
    _Interpreter(r"(ba|da|a|k|z)?sh", code=("c",), valued=("-o", "+o", "-O", "--rcfile", "--init-file")),
    _Interpreter(r"perl[0-9.]*", code=("e", "E"), valued=("-I",)),
    _Interpreter(r"ruby[0-9.]*", code=("e",), valued=("-I", "-r", "-C")),
    _Interpreter(
        r"node|nodejs", code=("e", "p", "--eval", "--print"), valued=("-r", "--require", "--import", "--loader")
    ),
    _Interpreter(r"php[0-9.]*", code=("r", "B", "R"), valued=("-c", "-d", "-z"), named=("-f",)),
    _Interpreter(
        r"powershell|pwsh",
        code=("-command", "-c", "-encodedcommand", "-e", "-ec"),
        valued=("-executionpolicy", "-ep", "-ex", "-version", "-windowstyle", "-w", "-configurationname"),
        named=("-file", "-f"),
    ),
    _Interpreter(r"java", valued=("-cp", "-classpath", "--class-path", "-p", "--module-path"), named=("-jar",)),
)


def script_in(words: Sequence[str], basename: Callable[[str], str], *, folded: bool = False) -> str | None:
    """The base name of the script (or the module) in an interpreter's command line; None when there is none.

    Code given on the command line is no script: `sh -c worker.py` is not named `worker.py`. With `folded`, programs
    are known by their name in lower case, without `.exe`.
    """
    program = basename(words[0]) if words else ""
    if folded:
        program = program.lower().removesuffix(".exe")
    interpreter = next((known for known in _INTERPRETERS if re.fullmatch(known.programs, program)), None)
    rest = iter(words[1:])
    for word in rest if interpreter else ():
        assert interpreter
        option = word.lower() if program in ("powershell", "pwsh") else word
        if option in interpreter.named:
            return basename(next(rest, "")) or None
        if option in interpreter.valued:
            next(rest, None)
        elif option in interpreter.code or any(
            re.fullmatch(f"-[A-Za-z]*{letter}", word) for letter in interpreter.code
        ):
            return None
        elif not word.startswith(("-", "+")):
            return basename(word) or None
    return None
