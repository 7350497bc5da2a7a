"""Another host shows itself as somebody else than it was known as: people find out which of the two is true."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

OTHER_KEY = said(
    r"remote host identification has changed", r"host key for \S+ has changed", r"WARNING - POTENTIAL SECURITY BREACH", r"host key does not match", r"\bBadHostKeyException\b",
    r"host key mismatch", r"server's host key (?:does not match|has changed)", r"HostKeyVerifyError|HostKeyNotMatch\w*|ssh: handshake failed: knownhosts: key mismatch",
)  # fmt: skip
"""OpenSSH, PuTTY, paramiko, libssh2 and Go's ssh, when a host's key is another one than before."""


@rule(FailureType.EXTERNAL_DEPENDENCY, overrules=True)
def host_key_changed(seen: Seen, case: Case) -> Sign | None:
    """Another host shows a key that is not the known one: it was made anew, or somebody stands in between. No runbook may
    forget the old key by itself."""
    match = OTHER_KEY.search(seen.text)
    if not match:
        return None
    return Sign(0.84, f"the other host's key is not the known one: “{first_line(seen.text, match)}”", seen.cite)
