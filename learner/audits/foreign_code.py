"""Code of other languages: the commands it runs and the files it removes or opens, as far as its text says them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from learner.audits.decode import unpacked
from learner.audits.shell import parse
from learner.audits.simple import Simple


@dataclass(frozen=True)
class Code:
    """Text that an interpreter runs: `shell`, `python`, `powershell`, or another one by name."""

    language: str
    text: str
    where: str = ""


def commands_in(code: Code) -> list[Simple]:
    """The commands that code of another language runs, as far as its text says them."""
    if code.language == "shell":
        return parse(code.text)
    if code.language == "python":
        return list(_python(code.text))
    if code.language == "powershell":
        return []
    return list(_by_pattern(code.text))


_REMOVERS = {"rmtree": ("rm", "-rf"), "unlink": ("rm", "-f"), "remove": ("rm", "-f"), "removedirs": ("rm", "-rf")}
_RUNNERS = frozenset(
    ["system", "popen", "run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput", "spawn"]
)
_EXECS = re.compile(r"exec[lv]p?e?|spawn[lv]p?e?|posix_spawn")


def _python(text: str) -> Iterator[Simple]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from _by_pattern(text)
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "getattr" and len(node.args) > 1:
            name = str(_constant(node.args[1]) or "")
        if (
            isinstance(node.func, ast.Call)
            and getattr(node.func.func, "id", "") == "getattr"
            and len(node.func.args) > 1
        ):
            name = str(_constant(node.func.args[1]) or "")
        first = _constant(node.args[0]) if node.args else None
        if name in _REMOVERS:
            on = node.func.value if isinstance(node.func, ast.Attribute) else None
            target = first if node.args else _constant(on.args[0]) if isinstance(on, ast.Call) and on.args else None
            if name != "remove" or first is not None:
                yield Simple((*_REMOVERS[name], str(target) if target is not None else "$unknown"))
        elif name in ("exec", "eval") and isinstance(first, str):
            yield from _python(first)
        elif name in _RUNNERS or _EXECS.fullmatch(name):
            if isinstance(first, list):
                yield Simple(tuple(map(str, first)))
            elif isinstance(first, str) and _EXECS.fullmatch(name):
                rest = [_constant(arg) for arg in node.args[1:]]
                words = rest[0] if rest and isinstance(rest[0], list) else rest
                yield Simple((first, *[str(word) for word in words[1:]]))
            elif isinstance(first, str):
                yield from parse(first)
        elif name == "open" and isinstance(first, str):
            mode = _constant(node.args[1]) if len(node.args) > 1 else None
            mode = mode or next((_constant(k.value) for k in node.keywords if k.arg == "mode"), None)
            if isinstance(mode, str) and set(mode) & set("wax+"):
                yield Simple((":",), ((">>" if "a" in mode else ">", first),))


def _constant(node: ast.expr) -> str | list[object] | None:
    """A text, or a list of them, that an expression comes to; None when it does not say."""
    if isinstance(node, ast.Constant):
        value = node.value
        return (
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else None
        )
    if isinstance(node, ast.List | ast.Tuple):
        return [_constant(item) if _constant(item) is not None else "$unknown" for item in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _constant(node.left), _constant(node.right)
        return left + right if isinstance(left, str) and isinstance(right, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(_constant(v) or "$unknown") if isinstance(v, ast.Constant) else "$unknown" for v in node.values
        )
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = _constant(node.args[0]) if node.args else None
        if called in ("b64decode", "urlsafe_b64decode", "decodebytes") and isinstance(first, str):
            return unpacked(first)
        if called == "fromhex" and isinstance(first, str):
            try:
                return bytes.fromhex(first).decode("utf-8", "replace")
            except ValueError:
                return None
        if called in ("decode", "strip", "encode") and isinstance(node.func, ast.Attribute):
            return _constant(node.func.value)
        if called == "join" and isinstance(node.func, ast.Attribute) and isinstance(first, list):
            return str(_constant(node.func.value) or "").join(map(str, first))
        if called in ("Path", "PurePath", "str", "expanduser"):
            return first
    return None


_CALLS = re.compile(
    r"(?:\b(?:system|exec|execSync|spawnSync|spawn|popen|shell_exec|passthru|qx|os\.execute|io\.popen)\s*[({]?\s*)"
    r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\{[^}]*\})|`([^`]+)`"
)
_REMOVALS = re.compile(
    r"\b(rm_rf|rm_r|remove_dir|rmtree|remove_tree|rmSync|rmdirSync|rmdir|unlinkSync|unlink|rimraf)\b\s*[({]?\s*"
    r"(\"[^\"]*\"|'[^']*'|[\w$@.]+)?"
)


def _by_pattern(text: str) -> Iterator[Simple]:
    for match in _CALLS.finditer(text):
        inside = match[2] or match[1][1:-1]
        yield from parse(inside.replace('\\"', '"'))
    for match in _REMOVALS.finditer(text):
        target = (match[2] or "").strip("\"'")
        option = "-f" if match[1] in ("unlink", "unlinkSync", "rmdir") else "-rf"
        yield Simple(("rm", option, target if "/" in target or target == "." else "$unknown"))
