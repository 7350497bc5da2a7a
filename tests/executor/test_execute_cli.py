"""`learner execute` as people and machines use it: in a process of its own, against real Git and real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from learner.telemetry.spool import Spool
from tests.executor.conftest import Site, runbook, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")


def learner(
    site: Site, *words: str, wait: bool = True, env: dict[str, str] | None = None, stdin: str | None = None
) -> Any:
    argv = [sys.executable, "-m", "learner", *words, "--host-config", str(site.config)]
    environment = {**os.environ, **(env or {})}
    if not wait:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    return subprocess.run(argv, capture_output=True, text=True, env=environment, input=stdin, timeout=120)


def kept(site: Site) -> list[dict[str, Any]]:
    return [json.loads(entry.bytes) for entry in Spool(site.spool).pending()]


def test_an_approved_runbook_runs_and_its_result_travels(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    site.runbook(runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}",
                         f"- {{id: made, check: file_exists, params: {{path: {flag}}}}}"))  # fmt: skip
    done = learner(site, "execute", "RB-LIN-TEST-001")
    assert done.returncode == 0, done.stderr
    assert "approved by Dana Reviewer" in done.stderr
    assert "main is trusted as fetched: no signers pinned" in done.stderr
    assert "✓ 1. make run_command" in done.stderr
    assert "RB-LIN-TEST-001-v1 on web-1" in done.stdout
    assert "success, verified" in done.stdout
    assert "1 sent" in done.stderr
    inbox = site.bare.text("for-each-ref", "--format=%(refname)", "refs/learner/inbox")
    assert inbox == "refs/learner/inbox/acme/web-1-agent"


def test_the_result_as_json(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    site.runbook(runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}",
                         f"- {{id: made, check: file_exists, params: {{path: {flag}}}}}"))  # fmt: skip
    done = learner(site, "execute", "RB-LIN-TEST-001-v1", "--json", "--no-push", "--no-fetch")
    held = json.loads(done.stdout)
    (result,) = held["results"]
    assert result["status"] == "success"
    assert result["verification_passed"] is True
    assert result["state_diff"][f"files.{flag}.exists"] == {"before": False, "after": True}
    assert result == kept(site)[0]
    assert held["refused"] == []


def test_a_failed_run_exits_with_1_and_is_kept(site: Site) -> None:
    site.runbook(runbook("- {id: fail, action: run_command, params: {argv: [sh, -c, 'echo no room >&2; exit 3']}}"))
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push")
    assert done.returncode == 1
    assert "no room" in done.stdout
    (result,) = kept(site)
    assert (result["status"], result["error_step"], result["error_message"]) == ("failure", 1, "no room")


def test_what_no_person_merged_is_refused_with_10_and_runs_nothing(site: Site, tmp_path: Path) -> None:
    from tests.executor.conftest import BOT

    flag = tmp_path / "flag"
    site.runbook(runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}"), who=BOT)
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push")
    assert done.returncode == 10
    assert "not by a person" in done.stderr
    assert "merge commits" in done.stderr
    assert not flag.exists()
    assert kept(site) == []


def test_a_version_that_main_does_not_hold_is_refused(site: Site) -> None:
    site.runbook(runbook("- {id: a, action: wait, params: {seconds: 0}}"))
    done = learner(site, "execute", "RB-LIN-TEST-001-v2", "--no-push")
    assert done.returncode == 10
    assert "RB-LIN-TEST-001-v1" in done.stderr


def test_a_parameter_that_does_not_fit_stops_it_before_anything_runs(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    more = "parameters:\n  port: {type: integer, minimum: 1}\n"
    site.runbook(runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}", more=more))
    assert "needs the parameter port" in learner(site, "execute", "RB-LIN-TEST-001", "--no-push").stderr
    wrong = learner(site, "execute", "RB-LIN-TEST-001", "--param", "port=many", "--no-push")
    assert wrong.returncode == 1
    assert "'many' is no integer" in wrong.stderr
    unknown = learner(site, "execute", "RB-LIN-TEST-001", "--param", "port=1", "--param", "prot=1", "--no-push")
    assert "has no parameter prot" in unknown.stderr
    assert not flag.exists()
    assert learner(site, "execute", "RB-LIN-TEST-001", "--param", "port=1", "--no-push").returncode == 0
    assert flag.exists()


def test_a_precondition_that_does_not_hold_skips_the_run(site: Site) -> None:
    more = 'preconditions: ["state.disk.usage_percent > 100"]\n'
    site.runbook(runbook("- {id: a, action: wait, params: {seconds: 0}}", more=more))
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push")
    assert done.returncode == 3
    assert "precondition does not hold" in done.stdout
    assert kept(site)[0]["status"] == "skipped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_cleans_up_and_writes_a_partial_result(
    site: Site, tmp_path: Path, number: int
) -> None:
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    more = f"finally:\n  - {{id: clean, action: run_command, params: {{argv: [touch, {cleaned}]}}}}\n"
    site.runbook(runbook(
        f"- {{id: long, action: run_command, params: {{argv: [sh, -c, 'touch {began}; exec sleep 60']}}}}\n"
        f"- {{id: never, action: run_command, params: {{argv: [touch, {tmp_path / 'never'}]}}}}", more=more))  # fmt: skip
    running = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", wait=False)
    wait_for(began.exists, 30)
    at = time.monotonic()
    running.send_signal(number)
    _out, err = running.communicate(timeout=20)
    assert time.monotonic() - at < 10
    assert running.returncode == 130, err
    (result,) = kept(site)
    assert (result["status"], result["verification_passed"]) == ("partial", None)
    assert result["error_message"].startswith("cancelled")
    assert [(s["step_id"], s["phase"], s["success"]) for s in result["executed_steps"]] == [
        ("long", "step", False),
        ("clean", "finally", True),
    ]
    assert cleaned.exists()
    assert not (tmp_path / "never").exists()


def test_a_killed_executor_leaves_a_partial_result_for_the_next_start(site: Site, tmp_path: Path) -> None:
    began = tmp_path / "began"
    site.runbook(runbook(
        "- {id: first, action: run_command, params: {argv: [echo, done]}}\n"
        f"- {{id: second, action: run_command, params: {{argv: [sh, -c, 'touch {began}; exec sleep 2']}}}}"))  # fmt: skip
    running = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", wait=False)
    wait_for(began.exists, 30)
    running.kill()
    running.wait(10)
    running.stdout.close()
    running.stderr.close()
    assert kept(site) == []
    again = learner(site, "execute", "RB-LIN-OTHER-001", "--no-push")
    assert "had been killed: kept exec-" in again.stderr
    (result,) = kept(site)
    assert (result["status"], result["success"], result["verification_passed"]) == ("partial", False, None)
    assert "killed before the run ended, in step 2 (second: run_command)" in result["error_message"]
    assert [s["success"] for s in result["executed_steps"]] == [True, False]
    assert result["executed_steps"][0]["output"] == "done\n"
    learner(site, "execute", "RB-LIN-OTHER-001", "--no-push")
    assert len(kept(site)) == 1


def test_two_runs_do_not_fight_over_one_host_and_runbook(site: Site, tmp_path: Path) -> None:
    began, go = tmp_path / "began", tmp_path / "go"
    script = f"touch {began}; while [ ! -e {go} ]; do sleep 0.1; done"
    site.runbook(runbook(f"- {{id: long, action: run_command, params: {{argv: [sh, -c, '{script}']}}}}"))
    running = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", wait=False)
    wait_for(began.exists, 30)
    second = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--no-fetch")
    go.touch()
    assert second.returncode == 10
    assert "is being run on web-1 already, by exec-" in second.stderr
    running.communicate(timeout=20)
    assert running.returncode == 0


def test_the_same_incident_again_and_again_calls_a_person(site: Site, tmp_path: Path) -> None:
    site.settings("loop_guard: {runs: 2, minutes: 10}\n")
    site.runbook(
        runbook(
            "- {id: count, action: run_command, params: {argv: [sh, -c, 'echo x >> count']}}".replace(
                "count']", f"{tmp_path}/count']"
            )
        )
    )
    incident = tmp_path / "incident.json"
    incident.write_text(json.dumps({"incident_id": "INC-1", "incident_type": "service_crash", "hostname": "web-1"}))
    codes = [
        learner(site, "execute", "RB-LIN-TEST-001", "--incident", str(incident), "--no-push", "--no-fetch").returncode
        for _ in range(3)
    ]
    assert codes == [0, 0, 10]
    assert (tmp_path / "count").read_text() == "x\nx\n"
    last = kept(site)[-1]
    assert (last["status"], last["manual_intervention_needed"]) == ("skipped", True)
    assert "has run 2 times in 10 minutes for INC-1" in last["notes"]


def test_a_dry_run_tells_and_touches_nothing(site: Site, tmp_path: Path) -> None:
    flag, token = tmp_path / "flag", "s3cr3t-value"
    more = "parameters:\n  token: {type: string, secret: true}\n  path: {type: string}\n"
    site.runbook(runbook(
        """
        - {id: look, action: check_disk_usage, params: {path: /}}
        - {id: make, action: create_directory, params: {path: "{{ path }}"}}
        - {id: seen, action: run_command, params: {argv: [echo, "{{ token }}"]}}
        - {id: later, action: check_disk_usage, params: {path: /}}
        - {id: off, action: wait, params: {seconds: 60}, when: "path == 'x'"}
        """, more=more))  # fmt: skip
    words = ("execute", "RB-LIN-TEST-001", "--dry-run", "--param-env", "token=TOKEN", "--param", f"path={flag}")
    done = learner(site, *words, "--json", env={"TOKEN": token})
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)["results"]
    assert not flag.exists()
    assert kept(site) == []
    assert token not in done.stdout + done.stderr
    by_id = {step["step_id"]: step for step in shown["steps"]}
    assert by_id["look"]["really_ran"] is True
    assert by_id["make"]["words"] == f"would set files.{flag}.exists = true"
    assert by_id["seen"]["params"] == {"argv": ["echo", "***"]}
    assert "would run; what it changes is not known beforehand" in by_id["seen"]["words"]
    assert by_id["later"]["really_ran"] is False
    assert by_id["off"]["left_out"] is True
    assert "success" not in json.dumps(shown)
    told = learner(site, *words, env={"TOKEN": token})
    assert "nothing was touched" in told.stdout
    assert "would succeed" not in told.stdout
    assert token not in told.stdout + told.stderr


def test_a_secret_is_written_nowhere_in_any_form(site: Site, tmp_path: Path) -> None:
    secret = "pa$$ wörd/+x"
    script = 'echo "$T"; python3 -c "import base64,os,urllib.parse as u; t=os.environ[\'T\']; print(base64.b64encode(t.encode()).decode(), u.quote(t), u.quote_plus(t), t.encode().hex())"; echo "bad $T" >&2; exit 1'
    more = "parameters:\n  token: {type: string, secret: true}\n"
    step = {
        "id": "leak",
        "action": "run_script",
        "params": {"shell": "sh", "script": script, "env": {"T": "{{ token }}"}},
    }
    site.runbook(runbook("- " + json.dumps(step), more=more))
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", "--param-env", "token=TOKEN", env={"TOKEN": secret})
    assert done.returncode == 1, done.stderr
    import base64
    import urllib.parse

    raw = secret.encode()
    forms = [
        secret,
        base64.b64encode(raw).decode(),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
        raw.hex(),
    ]
    everywhere = (
        done.stdout
        + done.stderr
        + "".join(p.read_text("utf-8", "replace") for p in site.spool.rglob("*") if p.is_file())
    )
    assert [form for form in forms if form in everywhere] == []
    (result,) = kept(site)
    assert result["parameters"]["token"] == "***"
    assert result["error_message"] == "bad ***"


def test_an_executor_without_a_network_goes_on_with_what_it_has(site: Site) -> None:
    site.runbook(runbook("- {id: a, action: wait, params: {seconds: 0}}"))
    site.bare.path.rename(site.folder / "gone.git")
    done = learner(site, "execute", "RB-LIN-TEST-001")
    assert done.returncode == 0
    assert "could not fetch" in done.stderr
    assert "could not send" in done.stderr
    assert len(kept(site)) == 1


def test_a_spool_that_can_not_be_written_stops_it_before_anything_runs(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    site.runbook(runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}"))
    site.spool.write_text("a file stands where the folder should")
    done = learner(site, "execute", "RB-LIN-TEST-001", "--no-push")
    assert done.returncode == 1
    assert "spool" in done.stderr
    assert not flag.exists()


def test_wrong_usage_is_told(site: Site, tmp_path: Path) -> None:
    assert learner(site, "execute").returncode == 2
    assert learner(site, "execute", "RB-LIN-TEST-001", "--param", "novalue").returncode == 2
    missing = learner(site, "execute", "RB-LIN-TEST-001", "--incident", str(tmp_path / "none.json"), "--no-push")
    assert "no such file" in missing.stderr
    assert (
        "is no address of a host"
        in learner(site, "execute", "RB-LIN-TEST-001", "--host", "ftp://x", "--no-push").stderr
    )


def test_an_alert_runs_the_runbook_that_fits_on_every_host_it_is_told(site: Site, sshd: Any, tmp_path: Path) -> None:
    site.settings("labels: {tier: web}\nssh_options: " + json.dumps(list(sshd.options)) + "\n")
    text = runbook("- {id: a, action: check_disk_usage, params: {path: \"{{ mountpoint }}\"}}", incident_type="disk_full",
                   more="parameters:\n  mountpoint: {type: string}\n")  # fmt: skip
    site.runbook(text)
    site.runbook(
        text.replace("RB-LIN-TEST-001", "RB-LIN-TEST-002").replace("steps:", "selector: {tier: web}\nsteps:", 1)
    )
    alert = {"status": "firing", "labels": {"alertname": "HostOutOfDiskSpace", "mountpoint": "/", "instance": "far:9100"}, "fingerprint": "f1",
             "startsAt": "2026-11-22T05:00:00Z"}  # fmt: skip
    (tmp_path / "hosts").write_text(f"# two of them\n{sshd.address}\nssh://nobody@127.0.0.1:1  # not there\n")
    words = (
        "execute",
        "--incident",
        "-",
        "--host",
        "local",
        "--hosts-file",
        str(tmp_path / "hosts"),
        "--json",
        "--no-push",
    )
    done = learner(site, *words, stdin=json.dumps({"version": "4", "alerts": [alert]}))
    assert done.returncode == 1, done.stderr
    held = json.loads(done.stdout)
    assert [(r["runbook_id"], r["status"], r["incident_id"]) for r in held["results"]] == [
        ("RB-LIN-TEST-002", "success", "am-f1-20261122T050000Z")
    ] * 2
    assert len({r["hostname"] for r in held["results"]}) == 2
    assert [r["host"] for r in held["refused"]] == ["ssh://nobody@127.0.0.1:1"]
    assert (
        "chose RB-LIN-TEST-002-v1, for disk_full on linux, labels tier=web; more closely than RB-LIN-TEST-001-v1"
        in done.stderr
    )
    elsewhere = learner(
        site,
        "execute",
        "--incident",
        "-",
        "--no-push",
        "--no-fetch",
        stdin=json.dumps({"version": "4", "alerts": [alert]}),
    )
    assert (elsewhere.returncode, "the incident is about far; this host is web-1" in elsewhere.stderr) == (1, True)


def test_a_file_that_holds_another_runbook_than_its_name_says_is_refused(site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    text = runbook(f"- {{id: make, action: run_command, params: {{argv: [touch, {flag}]}}}}")
    site.commit({"runbooks/linux/RB-LIN-OTHER-001.yaml": text})
    done = learner(site, "execute", "RB-LIN-OTHER-001", "--no-push")
    assert (done.returncode, "belongs at runbooks/linux/RB-LIN-TEST-001.yaml" in done.stderr) == (10, True)
    assert not flag.exists()


def test_an_executor_that_is_killed_while_it_verifies_claims_nothing(site: Site, tmp_path: Path) -> None:
    began = tmp_path / "began"
    site.runbook(runbook(f"- {{id: only, action: run_command, params: {{argv: [touch, {began}]}}}}",
                         f"- {{id: late, check: file_exists, params: {{path: {tmp_path}/never}}, within_seconds: 60}}"))  # fmt: skip
    running = learner(site, "execute", "RB-LIN-TEST-001", "--no-push", wait=False)
    journal = site.spool / "runs/journal"
    wait_for(lambda: began.exists() and '"step"' in "".join(f.read_text() for f in journal.glob("*.jsonl")), 30)
    running.kill()
    running.wait(10)
    running.stdout.close()
    running.stderr.close()
    learner(site, "execute", "RB-LIN-OTHER-001", "--no-push")
    (result,) = kept(site)
    assert (result["status"], result["verification_passed"], result["error_step"]) == ("partial", None, None)
    assert [step["success"] for step in result["executed_steps"]] == [True]
    assert list(journal.glob("*.jsonl")) == []
