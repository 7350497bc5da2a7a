"""Files around the workflows: generated ones match their models, and every one matches the code it speaks of."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from click.testing import CliRunner

from learner.cli import LazyGroup, cli
from learner.forge import marks, person
from learner.models import FailureType
from learner.models.follow_up import Kind
from learner.report.issues import LABEL
from learner.settings import HostSettings, RepositorySettings, read
from learner.setup import files, settings_text
from tests.workflows.stage import ROOT, WORKFLOWS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", settings_text.files())
def test_generated_files_have_not_drifted(name: str) -> None:
    wanted = settings_text.files()[name]
    assert (ROOT / name).read_text(encoding="utf-8") == wanted, "run: python -m learner.setup.settings_text"


def uncommented(text: str) -> str:
    """The text with one `#` taken away from every line, as its head says to do."""
    body = text.partition("\n\n")[2]
    return "\n".join(line.removeprefix("#") for line in body.splitlines())


def test_the_commented_settings_are_the_defaults_each_with_its_words() -> None:
    text = settings_text.repository_file()
    assert read(RepositorySettings, text, "x") == RepositorySettings()
    assert read(RepositorySettings, uncommented(text), "x") == RepositorySettings()

    host = settings_text.host_file("acme", "web-1: #1", "/srv/run books", spool="/var/spool/x")
    settings = read(HostSettings, host.replace("web-1: #1", "web-1"), "x")
    assert (settings.client_id, settings.repository, settings.spool) == ("acme", "/srv/run books", "/var/spool/x")
    plain = settings_text.host_file("acme", "web-1", "/srv/runbooks")
    assert read(HostSettings, uncommented(plain), "x") == read(HostSettings, plain, "x")

    def wordless(section: settings_text.Section) -> list[str]:
        found = [] if section.words else [section.name]
        for one in section.settings:
            found += wordless(one) if isinstance(one, settings_text.Section) else [] if one.words else [one.name]
        return found

    assert wordless(settings_text.section(RepositorySettings)) == []
    assert wordless(settings_text.section(HostSettings)) == []


def test_setting_one_value_takes_two_lines() -> None:
    text = settings_text.repository_file()
    changed = text.replace("#limits:", "limits:").replace("#  per_run: 5", "  per_run: 1")
    assert read(RepositorySettings, changed, "x").limits.per_run == 1


def test_every_label_that_is_set_is_described() -> None:
    labels = yaml.safe_load((ROOT / files.LABELS).read_text())
    names = {label["name"] for label in labels}
    improvable = {f"failure:{kind.value}" for kind in FailureType if kind.improvable}
    priorities = {f"priority:{level}" for level in ("high", "medium", "low")}
    rejected = {f"rejected:{reason}" for reason in (*person.REASONS, "moot")}
    follow_ups = {marks.KINDS[kind] for kind in get_args(Kind)}
    assert names == {*marks.LABELS, LABEL, *follow_ups, marks.REVIVE, *improvable, *priorities, *rejected}
    for label in labels:
        assert re.fullmatch("[0-9a-f]{6}", label["color"])
        # GitHub takes no longer description.
        assert len(label["description"]) <= 100


def test_workflows_install_this_version_of_the_package() -> None:
    pinned = f"'{PROJECT['project']['name']}=={PROJECT['project']['version']}'"
    for name in ("learn.yml", "report.yml", "validate.yml"):
        text = (WORKFLOWS / name).read_text()
        assert f"${{{{ vars.LEARNER_PACKAGE || {pinned} }}}}" in text, name
        assert text.count('-m pip install --quiet --disable-pip-version-check "$LEARNER_PACKAGE"') == text.count(
            "-m pip install"
        )


def test_every_command_of_a_workflow_exists_with_its_options() -> None:
    scripts = [
        step["run"]
        for path in sorted(WORKFLOWS.glob("*.yml"))
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    lines = [
        line for script in scripts for line in re.findall(r"(?:^|[;&|] )\s*(learner [^|>;&]+)", script, re.MULTILINE)
    ]
    assert len(lines) >= 8
    assert isinstance(cli, LazyGroup)
    for line in lines:
        words = line.split()[1:]
        names = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
        if names[0] not in ("telemetry", "gate", "review", "forge"):
            names = names[:1]
        helped = CliRunner().invoke(cli, [*names, "--help"])
        assert helped.exit_code == 0, line
        for option in re.findall(r"(?<= )--[a-z-]+(?= |$)", line):
            assert option in helped.output, line


def test_what_init_hands_out_is_in_the_wheel() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for path in (*files.AS_THEY_ARE, files.LABELS):
        assert included[path] == f"learner/_data/init/{path}"
        assert (ROOT / path).is_file()


def test_an_installed_package_reads_its_own_copies(tmp_path: Path) -> None:
    copy = tmp_path / "learner/_data/init/.github/labels.yml"
    copy.parent.mkdir(parents=True)
    copy.write_text("installed")
    assert files.source(files.LABELS, tmp_path / "learner") == "installed"


def test_pre_commit_hooks_run_commands_that_exist(tmp_path: Path) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    runbook = ROOT / "runbooks/linux/RB-LIN-SERVICE-001.yaml"
    for hook in hooks:
        assert re.search(hook["files"], "runbooks/linux/RB-LIN-SERVICE-001.yaml")
        assert not re.search(hook["files"], "runbooks/patterns/x.yaml")
        program, *words = hook["entry"].split()
        assert program == "learner"
        assert CliRunner().invoke(cli, [*words, str(runbook)]).exit_code == 0
