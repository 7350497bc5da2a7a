"""Code that comes from elsewhere and runs here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.audits.code import Running, new_running
from learner.audits.decode import decodes
from learner.audits.programs import INTERPRETERS, SHELLS, flatten
from learner.audits.simple import UNREAD, Simple
from learner.models import Finding, Level

_FETCHERS = frozenset(
    {
        "curl",
        "wget",
        "fetch",
        "aria2c",
        "http",
        "https",
        "lynx",
        "axel",
        "scp",
        "sftp",
        "ftp",
        "tftp",
        "rsync",
        "nc",
        "ncat",
        "socat",
        "s3cmd",
        "gsutil",
        "bitsadmin",
        "certutil",
    }
)
_NETWORK = re.compile(r"https?://|ftp://|s3://|git\+|/dev/tcp/|/dev/udp/|\b\w+@[\w.-]+:", re.IGNORECASE)
_POWERSHELL_FETCH = re.compile(
    r"downloadstring|downloadfile|downloaddata|invoke-webrequest|invoke-restmethod|\biwr\b|\birm\b|start-bitstransfer|net\.webclient|\bcurl\b|\bwget\b",
    re.IGNORECASE,
)
_POWERSHELL_RUN = re.compile(
    r"invoke-expression|\biex\b|invoke-command|start-process|\[scriptblock\]|&\s*\(?\$|\.invoke\(", re.IGNORECASE
)
_CODE_FETCH = re.compile(
    r"urlopen|requests\.get|urllib|http\.client|LWP::|Net::HTTP|open-uri|https?\.get|fetch\(|file_get_contents\(.{0,4}http|axios",
    re.IGNORECASE,
)
_CODE_RUN = re.compile(
    r"\bexec\s*\(|\beval\b|os\.system|subprocess|__import__|child_process|instance_eval|\bsystem\s*\(|marshal\.loads|pickle\.loads",
    re.IGNORECASE,
)
_SOURCES = re.compile(
    r"/etc/apt/sources\.list|/etc/yum\.repos\.d/|/etc/apt/keyrings|/etc/apk/repositories|/etc/zypp/repos\.d|pip\.conf|\.npmrc|/etc/apt/trusted\.gpg"
)


class RemoteCode(Rule):
    """A step runs code that is fetched from elsewhere, or decoded out of sight.

    `curl … | sh` in all its forms, downloads that a later step runs, packages from a URL or from a new source,
    `Invoke-Expression` of a download, sockets to a shell, and base64 that ends in an interpreter.
    """

    name = "remote-code"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        fetched: dict[str, str] = {}
        for where, ran, pair in new_running(change):
            for level, what in _found(ran):
                yield self.says(level, what, where)
            for command in ran.commands:
                fetched.update(dict.fromkeys(_targets(command), where))
            if pair and pair.new and pair.new.action in ("write_file", "ensure_line", "copy_file"):
                target = str(pair.new.params.get("path", pair.new.params.get("destination", "")))
                if _SOURCES.search(target):
                    yield self.says(Level.BLOCK, f"adds a source of packages in {target}", where)
        if not fetched:
            return
        for where, ran, _ in new_running(change):
            for command in ran.commands:
                for target in fetched:
                    if _runs(command, target):
                        yield self.says(Level.BLOCK, f"runs {target}, which {fetched[target]} downloads", where)


def _found(ran: Running) -> Iterator[tuple[Level, str]]:
    for command in ran.commands:
        if said := _one(command):
            yield said
    for code in ran.codes:
        if code.language == "powershell" and _POWERSHELL_FETCH.search(code.text) and _POWERSHELL_RUN.search(code.text):
            yield Level.BLOCK, "runs what PowerShell downloads"
        elif (
            code.language == "powershell"
            and re.search(r"frombase64string", code.text, re.I)
            and _POWERSHELL_RUN.search(code.text)
        ):
            yield Level.BLOCK, "runs code that is decoded out of sight"
        elif (
            code.language not in ("shell", "powershell")
            and _CODE_RUN.search(code.text)
            and _CODE_FETCH.search(code.text)
        ):
            yield Level.BLOCK, f"runs what {code.language} downloads"
        elif (
            code.language not in ("shell", "powershell")
            and re.search(r"b64decode|base64|fromhex|Buffer\.from|unpack\(", code.text)
            and re.search(r"\bexec\s*\(|\beval\s*\(|\beval\b", code.text)
        ):
            yield Level.BLOCK, "runs code that is decoded out of sight"


def _one(command: Simple) -> tuple[Level, str] | None:
    if command.words == (UNREAD,):
        return Level.BLOCK, "wraps a command so deep that nobody can read it"
    interpreter = (
        command.name in SHELLS or bool(INTERPRETERS.fullmatch(command.name)) or command.name in ("eval", "source", ".")
    )
    text = str(command)
    if interpreter:
        fetchers = [name for name in _names(command.upstream) if name in _FETCHERS]
        inside = re.search(r"(?:<\(|\$\(|`)\s*(?:\w+=\S+\s+)*(?:sudo\s+)?(curl|wget|fetch|aria2c|lynx|nc|ncat)\b", text)
        if fetchers or inside:
            return (
                Level.BLOCK,
                f"runs what {fetchers[0] if fetchers else inside[1] if inside else ''} downloads, unseen",
            )
        if any(decodes(c) for c in command.upstream) or re.search(r"\$\([^)]*(?:base64|xxd|openssl)[^)]*-d", text):
            return Level.BLOCK, "runs code that is decoded out of sight"
        if (
            any(operator.startswith("<") and "/dev/tcp/" in target for operator, target in command.redirects)
            or "/dev/tcp/" in text
        ):
            return Level.BLOCK, "opens a connection to a shell"
        if any(re.match(r"https?://", word) for word in command.words[1:]) and command.name not in ("source", "."):
            return Level.BLOCK, "runs a script from an address"
    if any("/dev/tcp/" in target or "/dev/udp/" in target for _, target in command.redirects):
        return Level.BLOCK, "opens a connection of the shell's own"
    if command.name in ("nc", "ncat", "netcat", "socat") and re.search(
        r"\s-\w*[ec]\b|exec:|--(?:sh-)?exec", text, re.I
    ):
        return Level.BLOCK, "gives a shell to the network"
    return _package(command, text)


def _names(commands: tuple[Simple, ...]) -> list[str]:
    """The programs behind the wrappers."""
    return [inner.name for inner in flatten(commands) if isinstance(inner, Simple)]


def _package(command: Simple, text: str) -> tuple[Level, str] | None:
    words = set(command.words[1:])
    remote = any(_NETWORK.search(word) for word in command.words[1:])
    name = command.name
    if re.fullmatch(r"pip[0-9.]*|pipx|uv|conda|mamba", name) or (name.startswith("python") and "pip" in words):
        if "install" in words or "add" in words:
            return (
                (Level.BLOCK, "installs a package from an address")
                if remote
                else (Level.WARNING, "installs packages at run time")
            )
        return None
    if name in ("npm", "yarn", "pnpm", "gem", "go", "cargo"):
        if words & {"install", "i", "add", "get"}:
            return (
                (Level.BLOCK, "installs a package from an address")
                if remote
                else (Level.WARNING, "installs packages at run time")
            )
        return None
    if name in ("npx", "bunx", "pnpx", "uvx"):
        return Level.BLOCK, "runs a package that is downloaded for it"
    if name in ("apt", "apt-get", "yum", "dnf", "zypper", "apk", "rpm", "dpkg", "brew", "snap"):
        if remote:
            return Level.BLOCK, "installs a package from an address"
        if re.search(
            r"--allow-unauthenticated|--nogpgcheck|--no-gpg-check|--allow-untrusted|--force-yes|--dangerous", text
        ):
            return Level.BLOCK, "installs packages without checking who made them"
        return None
    if name in ("add-apt-repository", "apt-add-repository", "apt-key", "yum-config-manager") or (
        name == "helm" and "repo" in words and "add" in words
    ):
        return Level.BLOCK, "adds a source of packages"
    if name in ("docker", "podman", "nerdctl") and words & {"run", "pull"}:
        return Level.WARNING, "runs or fetches an image"
    if name in ("kubectl", "oc", "helm") and remote and words & {"apply", "create", "install", "upgrade"}:
        return Level.BLOCK, "applies what it downloads"
    if name == "git" and words & {"clone", "pull"} and remote:
        return Level.WARNING, "fetches code"
    if name in ("mshta", "regsvr32", "rundll32", "wmic") and remote:
        return Level.BLOCK, "runs code from an address"
    if any(operator.startswith(">") and _SOURCES.search(target) for operator, target in command.redirects) or (
        name == "tee" and _SOURCES.search(text)
    ):
        return Level.BLOCK, "adds a source of packages"
    return None


def _targets(command: Simple) -> Iterator[str]:
    """The files a download is written to."""
    if command.name not in _FETCHERS and not set(_names(command.upstream)) & _FETCHERS:
        return
    words = command.words
    for operator, target in command.redirects:
        if operator.strip("0123456789&") in (">", ">>"):
            yield target
    for i, word in enumerate(words[1:-1], 1):
        if word in ("-o", "-O", "--output", "--output-document", "-P"):
            yield words[i + 1]
    for word in words[1:]:
        if match := re.fullmatch(r"(?:--output(?:-document)?=|-o)(/.+)", word):
            yield match[1]
    if command.name == "tee":
        yield from command.operands
    if command.name in ("scp", "sftp", "rsync", "certutil", "bitsadmin") and command.operands:
        yield command.operands[-1]
    if command.name == "wget" or (command.name == "curl" and command.options & {"O", "remote-name"}):
        for word in command.operands:
            if match := re.fullmatch(r"https?://[^?#]*/([^/?#]+)", word):
                yield match[1]


def _runs(command: Simple, target: str) -> bool:
    if target in ("-", "/dev/null", "/dev/stdout") or command.name in _FETCHERS:
        return False
    names = {target, f"./{target}", target.rpartition("/")[2] if "/" not in target else target}
    if command.words and command.words[0] in names:
        return True
    runs = (
        command.name in SHELLS or bool(INTERPRETERS.fullmatch(command.name)) or command.name in ("source", ".", "exec")
    )
    installs = command.name in (
        "dpkg",
        "rpm",
        "apt",
        "apt-get",
        "yum",
        "dnf",
        "chmod",
        "install",
        "pip",
        "pip3",
        "tar",
        "unzip",
    )
    grave = command.name != "chmod" or any(
        "x" in w or re.fullmatch(r"[0-7]*[1357][0-7]*", w) for w in command.words[1:2]
    )
    unpacking = command.name in ("tar", "unzip")
    return (runs or (installs and grave and not unpacking)) and bool(names & set(command.words[1:]))
