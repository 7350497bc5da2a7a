"""`learner gate`: what may run on this host, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from learner.console import document, out, tell
from learner.errors import LearnerError, Refused

if TYPE_CHECKING:
    from learner.executor.gate import Origin
    from learner.executor.trust import Key, Signer
    from learner.forge.gateway import Gateway, Pull
    from learner.repository.git import Git
    from learner.settings import HostSettings

_HOST = click.option("--host-config", type=click.Path(path_type=Path, dir_okay=False), help="This host's settings.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group("gate")
def command() -> None:
    """The merge is the approval: what may run here, and why."""


@command.command()
@_HOST
def fetch(host_config: Path | None) -> None:
    """Fetch main, and note when."""
    from learner.executor import gate

    settings, git = _host(host_config)
    commit = gate.fetch(git, settings.gate, datetime.now(UTC))
    click.echo(f"{settings.gate.remote}/{settings.gate.branch} is at {commit}")


@command.command()
@click.argument("runbook_id")
@_HOST
@_JSON
def check(runbook_id: str, host_config: Path | None, as_json: bool) -> None:
    """Say whether RUNBOOK_ID may run here, and why or why not. Needs no network."""
    from learner.executor import gate

    settings, git = _host(host_config)
    try:
        approved = gate.check(git, settings.gate, runbook_id.partition("-v")[0], datetime.now(UTC))
    except Refused as e:
        if as_json:
            document({"runbook_id": runbook_id, "may_run": False, "reason": e.message, "hint": e.hint})
        raise
    if as_json:
        document({
            "runbook_id": runbook_id, "may_run": True, "path": approved.path, "blob": approved.blob, "commit": approved.commit,
            "approved_by": approved.approved_by, "signed_by": approved.signed_by, "fetched_at": approved.fetched_at.isoformat(),
        })  # fmt: skip
        return
    out().print(f"{runbook_id} may run here: {approved.banner}", markup=False)
    out().print(
        f"blob {approved.blob} at {approved.path}, fetched {approved.fetched_at:%Y-%m-%d %H:%M:%S} UTC", markup=False
    )


@command.command()
@click.argument("target", metavar="github.com | ssh | gpg")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The public key's file; - for standard input.",
)
@click.option("--principal", help="Whose SSH key it is, mostly an address.")
@click.option("--valid-before", metavar="YYYYMMDD", help="An SSH key's last day: what it signs later does not count.")
@click.option("--fingerprint", "fingerprints", multiple=True, help="Accept only OpenPGP keys of this fingerprint.")
@_HOST
def trust(
    target: str, key: Path | None, principal: str | None, valid_before: str | None, fingerprints: tuple[str, ...], host_config: Path | None
) -> None:  # fmt: skip
    """Pin who may have signed what runs here: GitHub's own key for merges made there, or your team's keys.

    `github.com` fetches GitHub's key, shows its fingerprint and pins it when you confirm; without a terminal give the
    fingerprint that you checked with --fingerprint.
    """
    from learner.executor import trust as trusting
    from learner.executor.gate import trust_ssh

    settings, _ = _host(host_config)
    folder = _config_path(host_config).parent
    if target == "ssh":
        if key is None or principal is None:
            raise click.UsageError("`trust ssh` needs --key FILE.pub and --principal ADDRESS")
        file = Path(settings.gate.allowed_signers or folder / "allowed_signers")
        if valid_before and not (valid_before.isdigit() and len(valid_before) == 8):
            raise click.BadParameter("YYYYMMDD is wanted", param_hint="--valid-before")
        click.echo(f"{file}: {trust_ssh(file, principal, _text(key), valid_before)}")
        _set(_config_path(host_config), "allowed_signers", str(file), settings.gate.allowed_signers)
        return
    if target not in ("gpg", "github.com"):
        raise click.BadParameter("github.com, ssh or gpg is wanted", param_hint="TARGET")
    if target == "gpg" and key is None:
        raise click.UsageError("`trust gpg` needs --key FILE")
    home = Path(settings.gate.gpg_home or folder / "gnupg")
    armoured = _text(key) if key else _web_flow()
    expected = {one.replace(" ", "").upper() for one in fingerprints} or None
    if target == "github.com" and expected is None:
        expected = _confirmed(trusting.keys_in(armoured), can_ask=str(key) != "-")
    for fingerprint in trusting.trust_gpg(home, armoured, expected):
        click.echo(f"{home}: {fingerprint}")
    _set(_config_path(host_config), "gpg_home", str(home), settings.gate.gpg_home)


@command.command()
@_HOST
@_JSON
def trusted(host_config: Path | None, as_json: bool) -> None:
    """List the keys that this host pins, and until when they count."""
    from learner.executor.trust import signers

    settings, _ = _host(host_config)
    found = signers(settings.gate.allowed_signers, settings.gate.gpg_home)
    if as_json:
        document([{"kind": s.kind, "name": s.name, "key": s.key, "until": s.until} for s in found])
        return
    for signer in found:
        click.echo(_line(signer))
    if not found:
        click.echo("no signers are pinned: main is trusted as it is fetched")


@command.command()
@click.argument("principal")
@_HOST
def distrust(principal: str, host_config: Path | None) -> None:
    """Take PRINCIPAL's SSH keys off the list. The last one stays: an empty list would refuse everything."""
    from learner.executor.trust import distrust_ssh, signers

    settings, _ = _host(host_config)
    file = settings.gate.allowed_signers
    held = signers(file, None)
    if not file or not any(signer.name == principal for signer in held):
        raise LearnerError(f"no SSH key of {principal} is pinned here", "`learner gate trusted` lists them")
    if all(signer.name == principal for signer in held) and not settings.gate.gpg_home:
        raise LearnerError("that is the last pinned signer", "pin the next one first: `learner gate trust ssh`")
    click.echo(f"{distrust_ssh(Path(file), principal)} taken off {file}")


@command.command()
@_HOST
@_JSON
def audit(host_config: Path | None, as_json: bool) -> int:
    """Ask the forge, for every runbook on main, which pull request brought it, who approved it and who merged it.

    Exit code 10 when a runbook is there that no person approved or merged.
    """
    from learner.cli import job
    from learner.executor import gate

    settings, git = _host(host_config)
    tell("asking the forge about every runbook on main")
    found = gate.origins(git, settings.gate)
    gateway = job.gateway(git, settings.gate.remote, job.repository_settings(git, settings.gate.remote))
    rows = [_asked(gateway, origin) for origin in found]
    unapproved = [row for row in rows if not row["by_a_person"]]
    if as_json:
        document({"runbooks": rows, "unapproved": [row["path"] for row in unapproved]})
    else:
        _table(rows)
        for row in unapproved:
            out().print(f"no person approved {row['path']}: {row['why']}", markup=False)
    return 10 if unapproved else 0


def _asked(gateway: Gateway, origin: Origin) -> dict[str, Any]:
    """One line of the audit. A person's approving review counts, and so does a person's merge."""
    pulls = [pull for pull in gateway.pulls_of_commit(origin.commit) if pull.state == "merged"]
    pull = next((pull for pull in pulls if pull.merge_commit == origin.commit), pulls[0] if pulls else None)
    row: dict[str, Any] = {
        "path": origin.path, "commit": origin.commit, "author": origin.author, "pull_request": pull.number if pull else None,
        "url": pull.url if pull else None, "approved_by": [], "merged_by": None,
    }  # fmt: skip
    if pull is None:
        row |= {
            "by_a_person": False,
            "why": f"{origin.commit[:10]} was pushed by {origin.author} without a pull request",
        }
        return row
    merged = gateway.look(f"asking who merged #{pull.number}", lambda repo: repo.get_pull(pull.number).merged_by)
    row["merged_by"] = merged.login if merged else None
    row["approved_by"] = _approvers(gateway, pull)
    person_merged = merged is not None and merged.type != "Bot"
    row["by_a_person"] = bool(row["approved_by"]) or person_merged
    row["why"] = (
        ""
        if row["by_a_person"]
        else f"#{pull.number} was merged by {row['merged_by'] or 'nobody known'} without a person's review"
    )
    return row


def _approvers(gateway: Gateway, pull: Pull) -> list[str]:
    """The people other than the author whose last word was an approval."""
    last: dict[str, str] = {}
    for said in gateway.said(pull):
        if said.kind == "review" and not said.is_bot and said.verdict in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            last[said.login] = said.verdict
    return sorted(login for login, verdict in last.items() if verdict == "APPROVED" and login != pull.author)


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("runbook", "brought by", "pull request", "approved by", "merged by"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            Path(row["path"]).stem, row["commit"][:10], f"#{row['pull_request']}" if row["pull_request"] else "[red]none[/red]",
            escape(", ".join(row["approved_by"])), escape(row["merged_by"] or ""),
        )  # fmt: skip
    out().print(table)


def _host(host_config: Path | None) -> tuple[HostSettings, Git]:
    from learner.repository.git import Git
    from learner.settings import host_settings

    settings = host_settings(host_config)
    # A listing is quick; a fetch over a slow line is not.
    return settings, replace(Git(Path(settings.repository)), timeout_seconds=300.0)


def _config_path(host_config: Path | None) -> Path:
    import os

    return host_config or Path(os.environ.get("LEARNER_HOST_CONFIG", "/etc/learner/host.yml"))


def _text(key: Path) -> str:
    import sys

    try:
        return sys.stdin.read() if str(key) == "-" else key.read_text("utf-8")
    except OSError as e:
        raise LearnerError(f"{key}: {e.strerror}", "give the public key's file") from e


def _web_flow() -> str:
    """GitHub's public keys, from GitHub; which of them is pinned a person says, by the fingerprint."""
    from urllib import error, request

    from learner.executor.trust import WEB_FLOW_URL

    try:
        with request.urlopen(WEB_FLOW_URL, timeout=30) as answer:  # noqa: S310 a fixed https address
            return str(answer.read(1 << 20).decode("utf-8", "replace"))
    except (error.URLError, OSError) as e:
        raise LearnerError(
            f"{WEB_FLOW_URL} can't be read: {e}", "fetch it elsewhere and pass it with --key FILE"
        ) from e


def _confirmed(offered: Sequence[Key], *, can_ask: bool) -> set[str]:
    """The fingerprints that a person says yes to; nobody is trusted because a network said so.

    Raises: `Refused` when nobody can be asked, or says no.
    """
    import sys

    from learner.executor.trust import WEB_FLOW_FINGERPRINT

    for key in offered:
        known = "the key that GitHub is known to sign with since 2024-01-16"
        word = (
            "ended"
            if not key.is_valid
            else known
            if key.fingerprint == WEB_FLOW_FINGERPRINT
            else "NOT a key known here"
        )
        click.echo(f"{_grouped(key.fingerprint)}  {key.name}  ({word})")
    valid = [key for key in offered if key.is_valid]
    words = " ".join(f"--fingerprint {key.fingerprint}" for key in valid)
    if not can_ask or not sys.stdin.isatty():
        raise Refused(
            "nothing is pinned: a person has to confirm the fingerprint",
            f"compare it with a source of your own, then give {words or '--fingerprint'}",
        )
    confirmed = {
        key.fingerprint
        for key in valid
        if click.confirm(f"Trust what {_grouped(key.fingerprint)} signs?", default=False)
    }
    if not confirmed:
        raise Refused("nothing is pinned", "compare the fingerprint with a source of your own, then try again")
    return confirmed


def _grouped(fingerprint: str) -> str:
    """Four by four, as people compare it."""
    return " ".join(fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4))


def _set(config: Path, name: str, value: str, present: str | None) -> None:
    """Have the host's settings name the pinned keys, unless they do."""
    from learner.yaml_tree import load

    if present:
        return
    text = config.read_text("utf-8")
    if "gate" in (load(text).value or {}):
        click.echo(f"add to `gate:` in {config}:  {name}: {value}")
        return
    import json

    joint = "" if text.endswith("\n") or not text else "\n"
    temporary = config.with_suffix(".new")
    temporary.write_text(f"{text}{joint}gate:\n  {name}: {json.dumps(value)}\n", "utf-8")
    temporary.replace(config)
    click.echo(f"{config} names it now")


def _line(signer: Signer) -> str:
    until = f", until {_day(signer.until)}" if signer.until else ""
    return f"{signer.kind} {signer.name} {signer.key}{until}"


def _day(until: str) -> str:
    """The day of an OpenPGP time stamp in seconds, or of an OpenSSH date."""
    if len(until) > 8 and until.isdigit() and not until.startswith("20"):
        return datetime.fromtimestamp(int(until), UTC).strftime("%Y-%m-%d")
    return f"{until[:4]}-{until[4:6]}-{until[6:8]}"
