"""Who asks is refused, in the words of servers, clouds, directories and version control. Never improvable."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.other_identity import OTHER_KEY

_REFUSED = said(
    r"permissions? .{0,80}do(?:es)? not allow", r"required \S+ permission", r"does not have (?:authori[sz]ation|permission|access)",
    r"requires authentication", r"authentication (?:is )?(?:required|needed|failed|failure)", r"missing authentication (?:credentials|token)", r"\bis unauthori[sz]ed\b", r"\(unauthori[sz]ed\)", r"\bunauthori[sz]ed(?::|$)",
    r"\bACCESS[_-]REFUSED\b", r"login was refused", r"login (?:incorrect|failed|failure)", r"\bAuth(?:entication|orization)?(?:Failure|Error|Exception|Failed)\b", r"(?:user ?name|user) or password is incorrect", r"invalid (?:user ?name|login|password|credentials?|token|signature|client secret|certificate-based)",
    r"incorrect (?:password|username|login)", r"\d+ incorrect password attempts?", r"no basic auth credentials", r"unable to locate credentials", r"could not (?:load|find) (?:the )?(?:default )?credentials", r"no credentials (?:found|provided|available|were)", r"credentials? (?:have|has|are|is) (?:expired|invalid|not (?:found|valid))",
    r"could not read (?:user ?name|password) for", r"terminal prompts disabled", r"support for password authentication was removed", r"(?:token|password|account|key|session|login|subscription|licen[cs]e) .{0,40}(?:has |is )?(?:expired|revoked|locked|disabled)\b", r"account (?:is )?(?:currently )?(?:locked|disabled|expired)",
    r"account has expired", r"required privilege is not held", r"command denied to user", r"command not allowed", r"(?:SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|EXECUTE) .{0,20}denied", r"\bis preventing \S+ from \S+ access", r"\bseccomp\b.{0,40}(?:denied|not permitted)",
    r"cannot open \S+ service on computer", r"dubious ownership", r"unsafe repository", r"\(40[13]\) when calling", r"\b40[13]:? (?:unauthori[sz]ed|forbidden)", r"(?:code|status)[ =:]+40[13]\b.{0,40}(?:forbidden|unauthori[sz]ed)", r"\bPERMISSION_DENIED\b", r"\bUNAUTHENTICATED\b", r"\bUnauthorizedOperation\b",
    r"InvalidAccessKeyId|InvalidClientTokenId|UnrecognizedClientException|AuthorizationFailed|AuthorizationHeaderMalformed", r"you are not (?:authori[sz]ed|permitted|allowed) to", r"not permitted to (?:access|run|perform|execute)", r"host key verification failed", r"no matching host key",
    r"certificate (?:is )?not authori[sz]ed", r"pre-?authentication failed", r"KDC (?:has no support|can't fulfill)|KRB5KDC_ERR|client .{1,60} not found in Kerberos database|credentials cache", r"pam_\w+\(\S+\): (?:authentication failure|conversation failed)", r"not in (?:the )?(?:sudoers|wheel|docker)\b",
    r"passphrase .{0,120}(?:required|incorrect|wrong)", r"wrong passphrase|wrong password", r"no key found|no secret key", r"must be (?:a )?(?:superuser|owner|member of)", r"need(?:s)? .{0,20}CAP_\w+", r"requires? CAP_\w+", r"rights? (?:are |is )?(?:missing|insufficient)", r"insufficient (?:rights|permissions?|access|scope)",
    r"network password is not correct", r"ERROR_INVALID_PASSWORD", r"mac verify (?:error|failure)", r"keystore .{0,60}password was incorrect", r"bad decrypt", r"you are not (?:the )?owner of", r"must be a member of the role",
    r"(?:owner|mode|permissions?) .{0,60}(?:should|must) be .{0,20}(?:0?[0-7]{3}\b|owned|root\b)",
)  # fmt: skip


@rule(FailureType.PERMISSION_DENIED, overrules=True, least_share=0.0)
def identity_refused(seen: Seen, case: Case) -> Sign | None:
    """A server, cloud, directory or policy does not let in who asks: no, wrong, locked or expired credentials."""
    match = _REFUSED.search(seen.text)
    if not match or OTHER_KEY.search(seen.text):
        return None
    return Sign(0.88, f"who asked was refused: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.PERMISSION_DENIED, last=True)
def found_but_not_executable(seen: Seen, case: Case) -> Sign | None:
    """Exit code 126 and nothing said: the shell found the program and was not allowed to run it.

    Source: POSIX.1-2024, Shell Command Language, 2.8.2 Exit Status for Commands.
    """
    if not seen.step or seen.step.exit_code != 126 or seen.error.strip() not in ("", "exit code 126"):
        return None
    return Sign(0.7, "exit code 126: the program is there and may not be run", seen.cite)
