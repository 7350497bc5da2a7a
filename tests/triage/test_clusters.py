from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from learner.models import ExecutionResult
from learner.models.fold import canonical
from learner.triage.clusters import ClusterFold, SuccessFold, join, open_clusters, successes_of
from tests.triage.cases import RUNBOOK, failed, unverified_claim, worked

FOLDS = (ClusterFold(), SuccessFold())
ERRORS = ("pidfile /run/web/web.pid exists", "bind() failed (98: Address already in use)", "exit code 1")


def _runs() -> list[ExecutionResult]:
    runs = []
    for i in range(24):
        where: dict[str, Any] = {
            "execution_id": f"exec-20261122-R{i:04d}", "hostname": f"web-{i % 5}", "client_id": ("acme", "globex")[i % 2],
            "started_at": f"2026-11-22T05:{i % 7:02d}:00{'.5' if i % 3 else ''}Z", "runbook_version": 1 + i % 2,
        }  # fmt: skip
        runs.append(worked(i, **where) if i % 4 == 0 else failed(ERRORS[i % 3], **where))
    runs.append(worked(99, execution_id="exec-20261122-UNSURE", verification_passed=None))
    runs.append(failed("precondition", execution_id="exec-20261122-SKIPPED", status="skipped"))
    return runs


def _folded(runs: list[ExecutionResult]) -> str:
    held: list[dict[str, Any]] = [{}, {}]
    for run in runs:
        for fold, one in zip(FOLDS, held, strict=True):
            fold.add(one, run)
    return canonical(held)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_adding_does_not_matter(seed: int) -> None:
    runs = _runs()
    expected = _folded(runs)
    random.Random(seed).shuffle(runs)
    assert _folded(runs) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 26), st.integers(0, 2**32))
def test_state_written_and_read_between_two_parts_gives_the_same_bytes(cut: int, seed: int) -> None:
    import json

    runs = _runs()
    random.Random(seed).shuffle(runs)
    held: list[dict[str, Any]] = [{}, {}]
    for part in (runs[:cut], runs[cut:]):
        held = json.loads(canonical(held))
        for run in part:
            for fold, one in zip(FOLDS, held, strict=True):
                fold.add(one, run)
    assert canonical(held) == _folded(runs)


def test_a_cluster_counts_all_and_keeps_the_first_ten() -> None:
    held: dict[str, Any] = {}
    for i in range(30):
        run = failed("pidfile /run/web/web.pid exists", execution_id=f"exec-20261122-R{29 - i:04d}", hostname=f"web-{i % 4}",
                     client_id="acme" if i % 3 else "globex", started_at=f"2026-11-22T05:00:{29 - i:02d}Z")  # fmt: skip
        ClusterFold().add(held, run)
    (cluster,) = open_clusters(held, {"RB-LIN-SERVICE-001": "high"})
    # host names repeat between clients: they are different hosts
    assert (cluster.failures, cluster.clients, cluster.hosts, cluster.severity) == (30, 2, 8, "high")
    assert cluster.evidence == tuple(f"exec-20261122-R{i:04d}" for i in range(10))
    assert cluster.by_client == {"acme": 20, "globex": 10}
    assert (cluster.first_seen.second, cluster.last_seen.second) == (0, 29)


def test_first_by_time_not_by_how_a_time_is_written() -> None:
    held: dict[str, Any] = {}
    for name, at in (
        ("LATER", "2026-11-22T05:00:00.500000Z"),
        ("FIRST", "2026-11-22T05:00:00Z"),
        ("ZONE", "2026-11-22T06:59:59+02:00"),
    ):
        ClusterFold().add(held, failed("boom", execution_id=f"exec-20261122-{name}", started_at=at))
    (cluster,) = open_clusters(held, {})
    assert cluster.evidence == ("exec-20261122-ZONE", "exec-20261122-FIRST", "exec-20261122-LATER")


def test_what_did_not_fail_is_no_cluster() -> None:
    held: dict[str, Any] = {}
    for run in (worked(1), worked(2, verification_passed=None), failed("x", status="skipped")):
        ClusterFold().add(held, run)
    assert held == {}


def test_successes_count_verified_ones_only() -> None:
    held: dict[str, Any] = {}
    for i in range(25):
        SuccessFold().add(held, worked(i, started_at=f"2026-11-22T05:00:{i:02d}Z"))
    SuccessFold().add(held, worked(90, verification_passed=None))
    SuccessFold().add(held, failed("boom"))
    SuccessFold().add(held, failed("nothing touched", status="skipped"))
    entry = held["RB-LIN-SERVICE-001-v1"]
    assert (entry["runs"], entry["verified"], entry["unverified"]) == (27, 25, 1)
    assert successes_of(held, "RB-LIN-SERVICE-001-v1") == tuple(f"exec-20261121-OK{i:04d}" for i in range(20))
    assert successes_of(held, "RB-LIN-SERVICE-001-v2") == ()


def test_gravest_runbook_first_then_most_failures() -> None:
    held: dict[str, Any] = {}
    for i, (runbook, error, times) in enumerate(
        (("RB-LIN-DISK-001", "full", 1), ("RB-LIN-SERVICE-001", "boom", 2), ("RB-LIN-SERVICE-001", "bang", 3))
    ):
        for j in range(times):
            ClusterFold().add(held, failed(error, runbook_id=runbook, execution_id=f"exec-20261122-R{i}{j:03d}"))
    clusters = open_clusters(held, {"RB-LIN-DISK-001": "critical"})
    assert [(c.runbook_id, c.failures) for c in clusters] == [
        ("RB-LIN-DISK-001", 1),
        ("RB-LIN-SERVICE-001", 3),
        ("RB-LIN-SERVICE-001", 2),
    ]


def _clusters(*errors: str) -> list[Any]:
    held: dict[str, Any] = {}
    for i, error in enumerate(errors):
        ClusterFold().add(held, failed(error, execution_id=f"exec-20261122-R{i:04d}"))
    return open_clusters(held, {})


NEAR = (
    "nginx: [emerg] could not build server_names_hash, you should increase server_names_hash_bucket_size for blue",
    "nginx: [emerg] could not build server_names_hash, you should increase server_names_hash_bucket_size for green",
)


def test_near_signatures_are_shown_as_one_whatever_their_order() -> None:
    clusters = _clusters(*NEAR, "Segmentation fault (core dumped)")
    groups = join(clusters)
    assert sorted(map(len, groups)) == [1, 2]
    for seed in range(5):
        random.Random(seed).shuffle(clusters)
        assert join(clusters) == groups


@given(
    st.lists(
        st.builds(
            " ".join,
            st.lists(
                st.sampled_from(["nginx:", "could", "not", "build", "hash", "refused", "timed out"]),
                min_size=1,
                max_size=8,
            ),
        ),
        min_size=1,
        max_size=8,
        unique=True,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_joining_does_not_depend_on_order(errors: list[str], shuffled: random.Random) -> None:
    clusters = _clusters(*errors)
    groups = join(clusters)
    assert sorted(c.key for group in groups for c in group) == sorted(c.key for c in clusters)
    shuffled.shuffle(clusters)
    assert join(clusters) == groups


def test_near_signatures_are_one_row_of_what_learn_shows(tmp_path: Path) -> None:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "service.yaml").write_bytes(RUNBOOK)
    runs = [
        failed(error, execution_id=f"exec-20261122-R{i:04d}") for i, error in enumerate((*NEAR, "Segmentation fault"))
    ]
    (tmp_path / "results.jsonl").write_text("".join(run.model_dump_json() + "\n" for run in runs))
    given = [
        "learn",
        "--dry-run",
        "--runbooks",
        str(tmp_path / "runbooks"),
        "--telemetry",
        str(tmp_path / "results.jsonl"),
    ]
    shown = subprocess.run(
        [sys.executable, "-m", "learner", *given], capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "2 in 2 near-equal forms" in shown.stdout
    assert shown.stdout.count("RB-LIN-SERVICE-001") == 2


def test_another_cause_is_never_joined_however_alike_the_words() -> None:
    start = "web: could not open the state file of the worker pool in the folder that the unit names for it: "
    clusters = _clusters(start + "Permission denied", start + "No such file")
    assert len(join(clusters)) == 2


def test_another_step_is_never_joined() -> None:
    held: dict[str, Any] = {}
    ClusterFold().add(held, failed(NEAR[0]))
    ClusterFold().add(held, failed(NEAR[1], action="restart_service", step_more={"step_id": "again"}))
    assert len(join(open_clusters(held, {}))) == 2


def test_a_failed_check_is_a_cluster_of_its_own() -> None:
    held: dict[str, Any] = {}
    ClusterFold().add(held, unverified_claim("port_open", "closed", {"port": 8080}))
    (cluster,) = open_clusters(held, {})
    assert (cluster.check, cluster.action, cluster.title) == ("port_open", None, "port_open: closed")
