"""Settings: the repository's (`.github/learner.yml`, reviewed like everything on `main`) and the host's own.

They are two files on purpose. What decides whether a runbook may run on a host is never read from the
repository that the runbook comes from.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from learner.errors import LearnerError
from learner.strict import Count, Integral, Matching, Seconds, Share, Strict, Text
from learner.yaml_tree import YamlError, load

M = TypeVar("M", bound=Strict)

Slug = Annotated[str, Matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "Letters, digits, dot, dash, underscore")]
RefPrefix = Annotated[
    str, Matching(r"refs/[A-Za-z0-9._/-]+[A-Za-z0-9]", "A ref prefix, such as refs/learner or refs/heads/learner-refs")
]
REPOSITORY_FILE = ".github/learner.yml"


class TelemetrySettings(Strict):
    """Where results travel and rest."""

    remote: str | None = None
    """URL of a repository of its own for inboxes, telemetry and ledger; the runbook repository when null."""
    ref_prefix: RefPrefix = "refs/learner"
    """Inboxes live under <prefix>/inbox, receipts under <prefix>/receipts."""
    branch: Text = "telemetry"
    """The branch that holds every result; only the learner job writes it."""
    ledger_branch: Text = "ledger"
    """The branch that holds what was analysed and decided; only the learner job writes it."""
    max_result_bytes: Annotated[int, Field(ge=1024, le=16 << 20), Integral] = 1 << 20
    """A larger result is put into quarantine."""
    hosts: dict[str, tuple[str, ...]] = {}
    """`<client_id>/<executor_id>` → host names that this executor may report; `*` stands for any part in both.
    An executor that no entry names may report any host of its client."""


class ModelSettings(Strict):
    """An OpenAI-compatible endpoint. Without `base_url` and key the learner works from patterns alone."""

    base_url: str | None = None
    """The endpoint, such as https://api.openai.com/v1. GitHub Models is no choice: it was retired on 2026-07-30."""
    small: Text = "gpt-4o-mini"
    """Classifies failures that no rule knows."""
    large: Text = "gpt-4o"
    """Writes edits."""
    key_env: Text = "LEARNER_MODEL_KEY"
    """The environment variable that holds the key."""
    timeout_seconds: Seconds = 120.0
    """For one answer."""
    max_calls: Count = 50
    """A run asks no more often than this; the rest waits for the next run."""
    max_tokens: Count = 500_000
    """Tokens of a run, questions and answers together."""
    max_cost_usd: Annotated[float, Field(ge=0)] = 5.0
    """Cost of a run, by the two prices below."""
    input_usd_per_million: Annotated[float, Field(ge=0)] = 2.5
    """Price of a million tokens asked."""
    output_usd_per_million: Annotated[float, Field(ge=0)] = 10.0
    """Price of a million tokens answered."""
    repair_rounds: Annotated[int, Field(ge=0, le=5), Integral] = 1
    """How often a refused draft goes back to its author with the reasons."""


class LimitSettings(Strict):
    """How much the learner may say."""

    open_pull_requests: Count = 10
    """Open at once, over all runbooks."""
    per_run: Count = 5
    """Opened by one run."""
    min_failures: Annotated[int, Field(ge=1), Integral] = 2
    """Failures before a proposal; 1 for runbooks of high and critical severity."""
    min_hosts: Annotated[int, Field(ge=1), Integral] = 1
    """Hosts that must have failed before a proposal."""
    cooldown_hours: Annotated[float, Field(ge=0)] = 24.0
    """Between two proposals for one runbook."""
    revive_after_failures: Count = 0
    """New failures after which a rejected cluster may be proposed again; 0: only by the label `learner:revive`."""


class AlertSettings(Strict):
    """When `learner report --check` speaks up."""

    review_backlog: Count = 10
    """More proposals than this are open."""
    approval_rate: Share = 0.5
    """Fewer of the decided proposals than this share were approved."""
    high_priority_hours: Annotated[float, Field(gt=0)] = 24.0
    """A proposal of high priority has waited for longer than this."""
    min_runs: Annotated[int, Field(ge=1), Integral] = 5
    """Verified runs of a version before its success is compared."""


class FollowUpSettings(Strict):
    """What the learner makes of merged versions that prove better or worse, and of runs that work."""

    patterns: bool = True
    """A merged improvement that a model wrote and that proves better is proposed as a repair pattern, for other runbooks."""
    pattern_min_runs: Annotated[int, Field(ge=1), Integral] = 10
    """Judged runs of the new version before that; its interval must also lie above its parent's."""
    reverts: bool = True
    """A merged improvement that proves worse gets a pull request that brings its parent's text back."""
    revert_min_runs: Annotated[int, Field(ge=1), Integral] = 5
    """Judged runs of the new version before that; its interval must also lie below its parent's."""
    optimisations: bool = False
    """Report what verified runs show to be wasted or worn, and propose the edits that are safe, with low priority."""
    optimisation_min_runs: Annotated[int, Field(ge=4), Integral] = 20
    """Verified runs of a version before its habits are looked at."""


class ForgeSettings(Strict):
    """GitHub, GitHub Enterprise or the local forge."""

    api_url: Text = "https://api.github.com"
    """The REST API. GitHub Enterprise Server: https://HOST/api/v3; in a workflow `$GITHUB_API_URL` comes first."""
    repository: Annotated[str, Matching(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")] | None = None
    """owner/name; read from the remote's address when null."""
    token_env: Text = "LEARNER_TOKEN"  # noqa: S105 the variable's name
    """The environment variable that holds the token."""
    author_name: Text = "learner"
    """The name in the learner's commits; for a GitHub App, `APP-SLUG[bot]`."""
    author_email: Text = "learner[bot]@users.noreply.github.com"
    """The address in the learner's commits; for a GitHub App, `USER-ID+APP-SLUG[bot]@users.noreply.github.com`."""
    reviewers: tuple[str, ...] = ()
    """Logins asked to review every proposal, beside the code owners that the forge asks by itself."""


class RepositorySettings(Strict):
    """`.github/learner.yml`."""

    telemetry: TelemetrySettings = TelemetrySettings()
    model: ModelSettings = ModelSettings()
    limits: LimitSettings = LimitSettings()
    alerts: AlertSettings = AlertSettings()
    follow_up: FollowUpSettings = FollowUpSettings()
    forge: ForgeSettings = ForgeSettings()


class GateSettings(Strict):
    """What a host demands of a runbook before it runs it."""

    remote: Text = "origin"
    """The remote of the clone that holds the approved runbooks."""
    branch: Text = "main"
    """The branch that people merge into."""
    max_age_hours: Annotated[float, Field(gt=0)] = 24.0
    """A host that has not fetched for longer runs nothing."""
    allowed_signers: str | None = None
    """OpenSSH allowed-signers file that this host pins."""
    gpg_home: str | None = None
    """GnuPG home that holds the OpenPGP keys this host pins, such as GitHub's web-flow key."""
    learner_emails: tuple[str, ...] = ()
    """More addresses whose commits count as the learner's; bots are known by their names."""


class PushSettings(Strict):
    """When results leave the host."""

    interval_seconds: Seconds = 300.0
    """Between two pushes; a failure of high severity goes at once."""
    jitter: Share = 0.2
    """Share of the interval by which it varies, so that hosts do not push all at once."""
    batch: Annotated[int, Field(ge=1, le=10_000), Integral] = 200
    """Results in one push, at most."""


class SpoolSettings(Strict):
    """How much may wait on the host. Nothing is ever dropped: the oldest are packed, then new ones are refused."""

    max_bytes: Annotated[int, Field(ge=1 << 20), Integral] = 256 << 20
    """From this size on, new results are refused rather than old ones dropped."""
    max_age_days: Annotated[float, Field(gt=0)] = 7.0
    """From this age on, every push says that results have been waiting for too long."""


class LoopGuardSettings(Strict):
    """One runbook for one incident on one host: more runs than this call a person instead."""

    runs: Annotated[int, Field(ge=1), Integral] = 3
    """So many runs within the time below are allowed."""
    minutes: Annotated[float, Field(gt=0)] = 60.0
    """The time that runs are counted in."""


class HostSettings(Strict):
    """The host's own file: `--host-config`, `$LEARNER_HOST_CONFIG` or `/etc/learner/host.yml`."""

    client_id: Slug
    """Whose host this is."""
    executor_id: Slug
    """This executor, unlike any other of the client: results go to an inbox of this name."""
    hostname: str | None = None
    """The name in results; this machine's own when null."""
    repository: Text
    """A clone of the runbook repository on this host."""
    spool: Text = "/var/lib/learner/spool"
    """The folder where results wait until the ledger has them."""
    spool_limits: SpoolSettings = SpoolSettings()
    gate: GateSettings = GateSettings()
    push: PushSettings = PushSettings()
    telemetry_remote: str | None = None
    """Where results are pushed; the clone's `gate.remote` when null. `relay+https://host:port` sends them to a relay."""
    relay_token_env: Text = "LEARNER_RELAY_TOKEN"  # noqa: S105 the variable's name
    """The environment variable that holds the relay's token."""
    ref_prefix: RefPrefix = "refs/learner"
    """The same as telemetry.ref_prefix of the repository."""
    service_manager: Literal["auto", "systemd", "supervisord", "sysv", "launchd", "windows"] = "auto"
    """What starts and stops services here."""
    supervisor_config: str | None = None
    """The configuration of supervisord, where it is not in its usual place."""
    become: tuple[str, ...] = ("sudo", "-n", "--")
    """What a step with `become: true` is run through."""
    capture_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Time for reading the state before and after a run."""
    ssh_options: tuple[
        Annotated[str, Matching(r"[A-Za-z]+=[^\n]+", "An option of ssh, such as ProxyJump=bastion")], ...
    ] = ()
    """More options for hosts over SSH; those of ssh's own configuration hold anyway."""
    labels: dict[str, str] = {}
    """What this host is, for runbooks with a `selector`; an incident's own labels come first."""
    loop_guard: LoopGuardSettings = LoopGuardSettings()
    redact: tuple[str, ...] = ()
    """More regular expressions whose matches are never written down."""


def read(model: type[M], text: str | bytes, name: str) -> M:
    """Settings out of YAML.

    Raises: `LearnerError` naming file, line and column.
    """
    try:
        tree = load(text)
    except YamlError as e:
        raise LearnerError(f"{name}:{e.problem}", "correct the file") from e
    try:
        return model.model_validate_json(json.dumps(tree.value if tree.value is not None else {}))
    except ValidationError as e:
        first = e.errors()[0]
        line, column = tree.place(first["loc"])
        where = ".".join(map(str, first["loc"]))
        raise LearnerError(
            f"{name}:{line}:{column}: {where}: {first['msg']}", "see docs/settings.md, or `learner schema`"
        ) from e


def host_settings(path: Path | None) -> HostSettings:
    """This host's settings.

    Raises: `LearnerError` when there is no such file or it is wrong.
    """
    chosen = path or Path(os.environ.get("LEARNER_HOST_CONFIG", "/etc/learner/host.yml"))
    try:
        text = chosen.read_bytes()
    except OSError as e:
        raise LearnerError(
            f"{chosen}: {e.strerror}", "write one with `learner init --host`, or pass --host-config"
        ) from e
    return read(HostSettings, text, str(chosen))
