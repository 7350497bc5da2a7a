"""Certificates: how long they are valid, and getting new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from learner.actions.base import (
    EVERYWHERE,
    POSIX,
    UNKNOWN,
    Action,
    Capabilities,
    Check,
    Outcome,
    Probe,
    not_exactly_one,
)
from learner.actions.host import Completed, Deadline, Host, HostError
from learner.actions.network import Port
from learner.actions.paths import HostPath, misplaced
from learner.actions.powershell import Script
from learner.facts import Facts, Path, get
from learner.strict import Count, Matching, Strict

HostName = Annotated[str, Matching(r"[A-Za-z0-9._:\[\]-]+", "A host's name or address")]
CertificateName = Annotated[
    str, Matching(r"[A-Za-z0-9*_][A-Za-z0-9*._-]*", "A certificate's name, as certbot lists it")
]
HTTPS = 443


class CertificateParams(Strict):
    path: HostPath | None = None
    """A PEM file on the host (on Windows also a DER one); of a chain the first counts."""
    host: HostName | None = None
    port: Port | None = None
    """443 when there is none."""
    min_valid_days: Count = 30


class RenewCertificateParams(Strict):
    name: CertificateName
    method: Literal["certbot"] = "certbot"


@dataclass(frozen=True)
class CertificateProbe(Probe):
    """`certificates.<path>.days_left` or `certificates["<host>:<port>"].days_left`: whole days, by the host's clock.

    Negative when it has expired.
    """

    path: str | None = None
    host: str | None = None
    port: int = HTTPS

    @property
    def key(self) -> str:
        """What the certificate is known by."""
        return self.path if self.path is not None else f"{self.host}:{self.port}"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("certificates", self.key, "days_left"),)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            return self.look(host, min(timeout_seconds, 10.0)).facts or {self.paths[0]: UNKNOWN}
        except HostError:
            return {self.paths[0]: UNKNOWN}

    def look(self, host: Host, timeout_seconds: float) -> Outcome:
        """`data.days_left` and `data.expires_at`, or the failure to read the certificate."""
        if why := misplaced(self.path, host.platform):
            return Outcome.failed(f"refused: {why}")
        ask = self._ask_windows if host.platform == "windows" else self._ask_openssl
        read = ask(host, max(1.0, timeout_seconds))
        if isinstance(read, Outcome):
            return read
        now, expires = read
        left = int((expires - now).total_seconds() // 86_400)
        data = {"days_left": left, "expires_at": expires.isoformat().replace("+00:00", "Z")}
        words = f"{self.key}: {left} days left, until {data['expires_at']}"
        return Outcome(True, words, data=data, facts={self.paths[0]: left})

    def _ask_openssl(self, host: Host, seconds: float) -> tuple[datetime, datetime] | Outcome:
        """The host's time and the end of the validity."""
        source, pem = (["-in", self.path], None) if self.path is not None else ([], self._fetched(host, seconds))
        if pem is not None and not pem.success:
            return Outcome.of(pem)
        script = 'date -u +%Y-%m-%dT%H:%M:%SZ && exec openssl x509 -noout -enddate "$@"'
        argv = ["sh", "-c", script, "sh", *source]
        done = host.run(argv, timeout_seconds=seconds, stdin=pem.stdout if pem else None, env={"LC_ALL": "C"})
        if not done.success:
            return Outcome.of(done)
        now, _, rest = done.stdout.partition("\n")
        expires = parse_enddate(rest)
        if expires is None:
            return Outcome.failed(f"{self.key}: openssl says no end of its validity: {rest.strip()}")
        return datetime.fromisoformat(now), expires

    def _ask_windows(self, host: Host, seconds: float) -> tuple[datetime, datetime] | Outcome:
        """The same, by .NET's own classes."""
        if self.path is None and self.host is None:
            return Outcome.failed("neither a path nor a host is named")
        milliseconds = int(seconds * 1000)
        said = (
            _FILE.ask(host, seconds, path=self.path)
            if self.path is not None
            else _SHOWN.ask(host, seconds + 1, address=str(self.host), port=self.port, milliseconds=milliseconds)
        )
        if isinstance(said, Outcome):
            return said
        return datetime.fromtimestamp(said["now"], UTC), datetime.fromtimestamp(said["until"], UTC)

    def _fetched(self, host: Host, seconds: float) -> Completed:
        """The certificate that the address presents, as PEM."""
        if self.host is None:
            return Completed(1, stderr="neither a path nor a host is named")
        argv = ["openssl", "s_client", "-connect", f"{self.host}:{self.port}"]
        if not re.fullmatch(r"[0-9.]+|.*:.*", self.host):
            argv += ["-servername", self.host]
        done = host.run(argv, timeout_seconds=seconds, stdin="")
        if done.timed_out or done.exit_code == 127:
            return done
        pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", done.stdout, re.DOTALL)
        if pem:
            # s_client also fails where the certificate was shown but not trusted; its dates can be read all the same.
            return Completed(0, pem[0])
        return Completed(done.exit_code or 1, stderr=f"{self.key} shows no certificate\n{done.stderr}")


_READ = r"""
function Tell($Certificate) { Answer @{ now = Seconds (Get-Date); until = Seconds $Certificate.NotAfter } }
"""
_FILE = Script(
    _READ
    + r"""
$bytes = [IO.File]::ReadAllBytes($env:LEARNER_PATH)
$text = [Text.Encoding]::ASCII.GetString($bytes)
if ($text -match '-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----') { $bytes = [Convert]::FromBase64String($Matches[1]) }
Tell (New-Object Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList (, $bytes))
""",
    ("now", "until"),
)
# Trusted or not, its dates can be read. Windows PowerShell offers old protocols unless it is told which; to 7 they are
# the system's own. Source: Microsoft Learn, "SslProtocols Enum" (192, 768, 3072: TLS 1.0 to 1.2; 0: the system's).
_SHOWN = Script(
    _READ
    + r"""
$tcp = New-Object Net.Sockets.TcpClient
try {
  if (-not $tcp.ConnectAsync($env:LEARNER_ADDRESS.Trim('[', ']'), [int]$env:LEARNER_PORT).Wait([int]$env:LEARNER_MILLISECONDS)) { throw 'timed out' }
  $tcp.ReceiveTimeout = [int]$env:LEARNER_MILLISECONDS; $tcp.SendTimeout = [int]$env:LEARNER_MILLISECONDS
  $tls = New-Object Net.Security.SslStream($tcp.GetStream(), $false, { $true })
  $protocols = [Security.Authentication.SslProtocols]$(if ($PSVersionTable.PSVersion.Major -ge 6) { 0 } else { 4032 })
  $tls.AuthenticateAsClient($env:LEARNER_ADDRESS, $null, $protocols, $false)
  Tell (New-Object Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList $tls.RemoteCertificate)
} catch { throw $_.Exception.GetBaseException().Message } finally { $tcp.Close() }
""",
    ("now", "until"),
)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_enddate(text: str) -> datetime | None:
    """The end in `notAfter=Nov  2 05:00:00 2027 GMT`, in UTC; None when there is none."""
    found = re.search(r"notAfter=(\w{3}) +([0-9]+) ([0-9]+):([0-9]+):([0-9]+) ([0-9]{4}) GMT", text)
    if not found or found[1] not in _MONTHS:
        return None
    day, hour, minute, second, year = map(int, found.groups()[1:])
    return datetime(year, _MONTHS.index(found[1]) + 1, day, hour, minute, second, tzinfo=UTC)


def _probe(p: CertificateParams) -> CertificateProbe:
    return CertificateProbe(p.path, p.host, HTTPS if p.port is None else p.port)


def _touched(p: CertificateParams) -> Capabilities:
    if p.path is not None:
        return Capabilities(paths=frozenset({p.path}))
    return Capabilities(hosts=frozenset({_probe(p).key}))


def _wrong(p: CertificateParams) -> str | None:
    if p.path is not None and p.port is not None:
        return "a port belongs to a host, not to a path"
    return not_exactly_one(path=p.path, host=p.host)


class CheckCertificate(Action[CertificateParams]):
    """Fail unless a certificate is valid for a number of days yet; they stand in `data.days_left`."""

    name = "check_certificate"
    Params = CertificateParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: CertificateParams) -> tuple[Path, ...]:
        return _probe(p).paths

    def capabilities(self, p: CertificateParams) -> Capabilities:
        return _touched(p)

    def run(self, p: CertificateParams, host: Host, deadline: Deadline) -> Outcome:
        if wrong := _wrong(p):
            return Outcome.failed(f"refused: {wrong}")
        seen = _probe(p).look(host, deadline.remaining())
        if not seen.success or seen.data["days_left"] >= p.min_valid_days:
            return seen
        return Outcome.failed(
            f"{seen.stdout}; at least {p.min_valid_days} are wanted", data=seen.data, facts=seen.facts
        )


class RenewCertificate(Action[RenewCertificateParams]):
    """Renew a certificate that certbot manages, if it is due; certbot is no longer made for Windows."""

    name = "renew_certificate"
    Params = RenewCertificateParams
    platforms = POSIX
    default_timeout_seconds = 300.0

    def reads(self, p: RenewCertificateParams) -> tuple[Path, ...]:
        # The authority asks back over the name and the host's ports.
        return (*CertificateProbe(_live(p.name)).paths, ("dns",), ("ports", "80"), ("ports", "443"))

    def effects(self, p: RenewCertificateParams, facts: Mapping[str, Any]) -> Facts | None:
        # Its hooks commonly stop, start or reload what uses the certificate.
        families = ("certificates", "files", "services", "processes", "ports", "endpoints")
        return {(family,): UNKNOWN for family in families}

    def capabilities(self, p: RenewCertificateParams) -> Capabilities:
        return Capabilities(
            paths=frozenset({_live(p.name)}),
            commands=frozenset({"certbot"}),
            privileges=frozenset({"renew certificates"}),
        )

    def run(self, p: RenewCertificateParams, host: Host, deadline: Deadline) -> Outcome:
        argv = ["certbot", "renew", "--cert-name", p.name, "--non-interactive"]
        done = Outcome.of(host.run(argv, timeout_seconds=max(1.0, deadline.remaining())))
        return done.seen(CertificateProbe(_live(p.name)).read(host, 5.0)) if done.success else done


def _live(name: str) -> str:
    """Where certbot keeps the certificate that is in use. Source: certbot's user guide, "Where are my certificates?"."""
    return f"/etc/letsencrypt/live/{name}/fullchain.pem"


class CertificateValid(Check[CertificateParams]):
    """The certificate is valid for a number of days yet."""

    name = "certificate_valid"
    Params = CertificateParams
    platforms = EVERYWHERE

    def probe(self, p: CertificateParams) -> Probe:
        return _probe(p)

    def holds(self, p: CertificateParams, state: Mapping[str, Any]) -> bool | None:
        left = get(state, _probe(p).paths[0])
        return left >= p.min_valid_days if isinstance(left, int | float) and not _wrong(p) else None

    def capabilities(self, p: CertificateParams) -> Capabilities:
        return _touched(p)


ACTIONS: tuple[Action[Any], ...] = (CheckCertificate(), RenewCertificate())
CHECKS: tuple[Check[Any], ...] = (CertificateValid(),)
