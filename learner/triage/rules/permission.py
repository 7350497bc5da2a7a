"""Rights that are missing. Never improvable: a runbook that learns its way around a refusal is an attack."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.disk import SHUT_AFTER_FULL

_DENIED = said(
    r"permission denied", r"access to .{1,200} is denied", r"\bEACCES\b", r"\bEPERM\b", r"operation not permitted", r"access (?:is |was )?denied",
    r"PermissionError", r"CategoryInfo *: PermissionDenied", r"UnauthorizedAccess", r"0x80070005",
    r"(?<!operating\s)system error 5\b", r"FAILED 5:", r"requires elevation", r"might require other privileges",
    r"run (?:it |this |the command )?(?:again )?as (?:the )?(?:root|administrator|superuser)\b",
    r"(?:must|need(?:s)? to) be (?:run as )?(?:root|superuser|administrator)", r"are you root\?", r"only root (?:can|may)",
    r"root privileges? (?:are|is) required", r"requires? (?:root|superuser|administrator) (?:privileges?|rights|access)",
    r"superuser (?:access|privileges?) (?:is |are )?required", r"insufficient privileges?", r"not privileged to",
    r"this operation requires root", r"you do not have (?:the )?(?:required |sufficient )?(?:permissions?|privileges?|rights)",
    r"don't have permission",
    r"interactive authentication required", r"authentication is required", r"polkit.{0,60}(?:denied|not authorized)",
    r"not authori[sz]ed\b", r"is not in the sudoers file", r"sudo: a (?:terminal|password) is required",
    r"sudo: (?:no tty present|sorry, you must have a tty)", r"is not allowed to (?:execute|run)",
    r"are not allowed to use this program", r"avc: +denied", r"apparmor=\"DENIED\"",
    r"is forbidden: User", r"cannot (?:get|list|create|patch|update|delete|watch) resource \"", r"\[SC\] .{0,60} 5:",
    # The same in the tongues that hosts speak, as glibc and Windows have it.
    r"zugriff (?:wurde )?verweigert", r"keine berechtigung", r"(?:vorgang|operation) nicht (?:zulässig|erlaubt)",
    r"permission (?:non accordée|refusée)", r"accès refusé", r"opération non permise", r"permiso denegado", r"acceso denegado",
    r"operación no permitida", r"permesso negato", r"accesso negato", r"operazione non permessa", r"permissão negada",
    r"acesso negado", r"operação não permitida", r"toegang geweigerd", r"brak dostępu", r"odmowa dostępu",
    r"operacja niedozwolona", r"åtkomst nekad", r"adgang nægtet", r"přístup odepřen", r"отказано в доступе", r"доступ запрещ[её]н",
    r"операция не позволена", r"許可がありません", r"アクセスが拒否", r"权限不够", r"拒绝访问", r"不允许的操作",
)  # fmt: skip

_CREDENTIALS = said(
    r"password authentication failed", r"peer authentication failed", r"ident authentication failed",
    r"no pg_hba\.conf entry", r"must be owner of", r"must be superuser", r"role \"[^\"]*\" does not have",
    r"\bNOAUTH\b", r"\bWRONGPASS\b", r"\bNOPERM\b", r"invalid username-password pair",
    r"access denied for user", r"authentication (?:failed|failure|required|error)", r"login failed for user",
    r"logon failure", r"FAILED 1069:", r"invalid (?:credentials|api key|access token|bearer token)", r"bad credentials",
    r"(?:returned error:|HTTP(?:/[0-9.]+)?|HTTP error) 40[13]\b", r"\b401 unauthorized", r"\b403 forbidden",
    r"AccessDenied(?:Exception)?\b", r"SignatureDoesNotMatch", r"ExpiredToken\b", r"unauthorized: ",
    r"too many authentication failures", r"no supported authentication methods",
    r"running scripts is disabled on this system", r"PSSecurityException",
)  # fmt: skip
MORE_THAN_NEEDED = said(r"PROCESS privilege\(s\) for this operation' when trying to dump tablespaces")
"""A refusal of what nobody wants: the tool may be told not to ask for it, and does its work with the rights it has.

Source: MySQL 8.0 Reference Manual, mysqldump, `--no-tablespaces`.
"""
_FORBIDDEN = said(r"403\b")

_WRONG_RIGHTS = said(
    r"has (?:wrong ownership|invalid permissions|group or world access)", r"bad ownership or modes",
    r"permissions .{0,80} are too open", r"unprotected private key file", r"is not owned by",
)  # fmt: skip


@rule(FailureType.PERMISSION_DENIED, overrules=True, least_share=0.0)
def permission_denied(seen: Seen, case: Case) -> Sign | None:
    """The system refused: rights on a file, a port, a service, or administrator's rights as such."""
    match = _DENIED.search(seen.text)
    if not match or MORE_THAN_NEEDED.search(seen.text):
        return None
    primary = _DENIED.search(seen.error)
    return Sign(
        0.97 if primary else 0.85,
        f"the system refused it: “{first_line(seen.text, match)}”. Somebody has to grant the right or decide not to; "
        "a runbook must not work around it.",
        seen.cite,
    )


@rule(FailureType.PERMISSION_DENIED, overrules=True, least_share=0.0)
def credentials_refused(seen: Seen, case: Case) -> Sign | None:
    """A server refused who asked: a password, a key, a token, a role."""
    match = _CREDENTIALS.search(seen.text)
    if MORE_THAN_NEEDED.search(seen.text):
        return None
    if not match or (seen.check and seen.check.check == "http_ok") or SHUT_AFTER_FULL.search(seen.text):
        return None
    if _FORBIDDEN.search(match[0]) and seen.addresses and all(seen.is_own(host) for host, _ in seen.addresses):
        return None  # this host's own server is set up that way, or is the wrong page: no right of ours is missing
    return Sign(0.92, f"the credentials were refused: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.PERMISSION_DENIED, overrules=True, least_share=0.0)
def wrong_rights_on_files(seen: Seen, case: Case) -> Sign | None:
    """A program refuses files whose owner or mode is unsafe."""
    match = _WRONG_RIGHTS.search(seen.text)
    if not match:
        return None
    return Sign(0.88, f"owner or mode of a file is not what the program insists on: “{first_line(seen.text, match)}”",
                seen.cite)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def asks_for_more_than_needed(seen: Seen, case: Case) -> Sign | None:
    """A tool asks for something nobody wants and is refused it; an option of its own tells it not to ask."""
    match = MORE_THAN_NEEDED.search(seen.text)
    if not match:
        return None
    return Sign(0.8, f"it asks for what nobody wants: “{first_line(seen.text, match)}”", seen.cite)
