"""What a command prints, where its own words say it: `echo`, `printf`, and the decoders that hide commands."""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import re
import zlib

from learner.audits.simple import Simple, escapes

MADE = "/tmp/mktemp.XXXXXX/made"  # noqa: S108 - stands for a path that mktemp makes
"""What `mktemp` prints."""
LONGEST = 100_000
"""Bytes that are unpacked; more is no command line."""


def printed(command: Simple) -> str | None:
    """The output of a command, or None when its words don't say it."""
    if command.redirects and any(operator.startswith("<") for operator, _ in command.redirects):
        return None
    name, words = command.name, command.words[1:]
    if name == "echo":
        text = " ".join(word for word in words if not re.fullmatch(r"-[neE]+", word))
        return escapes(text) if any(re.fullmatch(r"-[n]*e[n]*", word) for word in words) else text
    if name == "printf" and words:
        return _printf(words)
    if name == "mktemp":
        return MADE
    if name in ("cat", "tee") and not command.operands:
        return _input(command)
    if decodes(command):
        hidden = _input(command)
        return None if hidden is None else _decoded(command, hidden)
    return None


def decodes(command: Simple) -> bool:
    """Whether a command turns something unreadable into something else."""
    name, options = command.name, command.options
    if name in ("base64", "base32"):
        return bool(options & {"d", "D", "decode"})
    if name == "openssl":
        return "-d" in command.words
    if name == "xxd":
        return "r" in options
    if name in ("gzip", "bzip2", "xz"):
        return bool(options & {"d", "decompress"})
    return name in ("rev", "tr", "gunzip", "zcat", "bunzip2", "unxz", "uudecode")


def _input(command: Simple) -> str | None:
    if command.stdin:
        return command.stdin
    return printed(command.upstream[-1]) if command.upstream else None


def _decoded(command: Simple, text: str) -> str | None:
    if command.name == "rev":
        return text.rstrip("\n")[::-1]
    if command.name == "tr":
        return _translated(command.operands, text)
    try:
        if command.name == "xxd":
            return bytes.fromhex(re.sub(r"[^0-9a-fA-F]", "", text)).decode("utf-8", "replace")
        if command.name == "base32":
            return base64.b32decode(text.strip()).decode("utf-8", "replace")
        if command.name in ("base64", "openssl"):
            return unpacked(text)
    except (ValueError, binascii.Error):
        return None
    return None


def unpacked(text: str) -> str | None:
    """Base64 text read, unpacked when it is compressed, as UTF-16 when it looks like it; None when it is no base64."""
    stripped = "".join(text.split())
    try:
        raw = base64.b64decode(stripped + "=" * (-len(stripped) % 4), altchars=None, validate=True)[:LONGEST]
    except (ValueError, binascii.Error):
        return None
    try:
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)[:LONGEST]
        elif raw[:1] == b"\x78":
            raw = zlib.decompress(raw)[:LONGEST]
    except (OSError, EOFError, zlib.error):
        return None
    if raw[1:2] == b"\x00":
        return raw.decode("utf-16-le", "replace")
    return raw.decode("utf-8", "replace")


def _printf(words: tuple[str, ...]) -> str:
    text, values = escapes(words[0]), list(words[1:])
    if "%" not in text:
        return text
    out = ""
    while True:
        out += re.sub(r"%[-0-9.]*[sbdqc]", lambda _: values.pop(0) if values else "", text)
        if not values:
            return out


def _translated(operands: tuple[str, ...], text: str) -> str | None:
    if sorted(operands) == sorted(("A-Za-z", "N-ZA-Mn-za-m")):
        return codecs.decode(text, "rot13")
    if len(operands) == 2 and len(operands[0]) == len(operands[1]) and "-" not in "".join(operands):
        return text.translate(str.maketrans(operands[0], operands[1]))
    return None
