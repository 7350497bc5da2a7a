"""Data that leaves the host, or goes where it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.audits.code import new_running, readings
from learner.audits.simple import Simple
from learner.models import Finding, Level

_CREDENTIALS = re.compile(
    r"/etc/g?shadow-?|/etc/sudoers.*|.*/\.ssh(?:/(?!known_hosts).*)?|.*/id_(?:rsa|ed25519|ecdsa|dsa)|.*/\.aws/.*|.*/\.kube/config|.*/\.(?:netrc|pgpass|my\.cnf|git-credentials|docker/config\.json|npmrc)"
    r"|/etc/ssl/private/.*|.*\.(?:key|p12|pfx|jks|kdbx)|/proc/(?:\d+|self|\*)/environ|/etc/kubernetes/.*|/var/run/secrets/.*|/run/secrets/.*|.*/vault-token|.*[\\/]SAM"
)
_LOCAL = re.compile(
    r"(?:https?://)?(?:127\.\d+\.\d+\.\d+|localhost|\[?::1\]?|0\.0\.0\.0)(?:[:/]|$)|^unix:", re.IGNORECASE
)
_READERS = frozenset(
    {
        "cat",
        "less",
        "more",
        "head",
        "tail",
        "xxd",
        "od",
        "base64",
        "strings",
        "cp",
        "tar",
        "zip",
        "gzip",
        "scp",
        "rsync",
        "awk",
        "sed",
        "grep",
        "dd",
        "tee",
        "openssl",
        "python",
        "python3",
        "perl",
    }
)
_METADATA = re.compile(r"169\.254\.169\.254|metadata\.google\.internal|100\.100\.100\.200|fd00:ec2::254")


class LeavingData(Rule):
    """Files or credentials are sent away, or read into results.

    Uploads to other hosts, reading of shadow files, private keys and tokens, a cloud's metadata service, dumps of
    the whole environment. Results are kept for long and read by many.
    """

    name = "leaving-data"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for where, ran, _ in new_running(change):
            for command in ran.commands:
                for level, what in _found(command):
                    yield self.says(level, what, where)
        for pair in change.touched:
            assert pair.new is not None
            for params in readings(change.new.runbook, pair.new.params):
                source = str(params.get("source", "") if pair.new.action == "copy_file" else "")
                if pair.new.action == "backup_file":
                    source = str(params.get("path", ""))
                old = str(pair.old.params.get("source", pair.old.params.get("path", ""))) if pair.old else ""
                if source and source != old and _CREDENTIALS.fullmatch(source):
                    yield self.says(Level.BLOCK, f"copies {source}", pair.where)
                url = str(params.get("url", ""))
                if _METADATA.search(url):
                    yield self.says(
                        Level.BLOCK, "asks the cloud's metadata service, which hands out credentials", pair.where
                    )


def _found(command: Simple) -> Iterator[tuple[Level, str]]:
    text = str(command)
    if _METADATA.search(text):
        yield Level.BLOCK, "asks the cloud's metadata service, which hands out credentials"
    read = [
        word
        for word in (*command.operands, *(t for o, t in command.redirects if o.startswith("<")))
        if _CREDENTIALS.fullmatch(word)
    ]
    if read and (command.name in _READERS or any(o.startswith("<") for o, _ in command.redirects)):
        yield Level.BLOCK, f"reads {read[0]}"
    if command.name in ("printenv", "env", "set", "export") and len(command.words) == 1:
        yield Level.WARNING, "prints the whole environment"
    if sent := _sent(command, text):
        yield sent


def _sent(command: Simple, text: str) -> tuple[Level, str] | None:
    name, words = command.name, command.words[1:]
    if name == "curl":
        upload = re.search(
            r"(?:^|\s)(?:-T|--upload-file|-F|--form)\s|(?:-d|--data(?:-binary|-raw|-urlencode)?)[ =]?\S*@|(?:-d|--data\S*)\s*\$\(|--json\s*@",
            text,
        )
        piped = bool(command.upstream) and re.search(r"@-|-T\s*-", text)
        posts = command.upstream and re.search(r"-X\s*(?:POST|PUT)", text)
        if (upload or piped or posts) and not all(_LOCAL.match(w) for w in words if "://" in w):
            return Level.BLOCK, "sends data to another host"
    if (
        name == "wget"
        and re.search(r"--post-(?:file|data)|--body-(?:file|data)", text)
        and not any(_LOCAL.match(w) for w in words)
    ):
        return Level.BLOCK, "sends data to another host"
    if (
        name in ("nc", "ncat", "netcat", "telnet")
        and (command.upstream or any(o.startswith("<") for o, _ in command.redirects))
        and not any(_LOCAL.match(w) for w in command.operands)
    ):
        return Level.BLOCK, "sends data to another host"
    if (
        name in ("scp", "rsync", "sftp", "rclone")
        and command.operands
        and re.match(r"(?:[\w.-]+@)?[\w.-]{2,}:(?!\\)", command.operands[-1])
    ):
        return Level.BLOCK, "copies files to another host"
    if name in ("aws", "gsutil", "gcloud", "az", "mc", "s3cmd") and re.search(
        r"\b(?:cp|sync|put|mv|upload)\b.*(?:s3|gs|https?)://\S+\s*$", text
    ):
        return Level.BLOCK, "copies files into a store elsewhere"
    if name in ("mail", "mailx", "sendmail", "mutt") and (command.upstream or command.options & {"a"}):
        return Level.WARNING, "sends a mail with data of the host"
    if name in ("dig", "nslookup", "host", "ping") and re.search(r"\$\(|\$\w", text):
        return Level.WARNING, "asks for a name that holds data"
    return None
