from __future__ import annotations

from typing import Any

from learner.triage.contrast import Contrast, contrast
from tests.triage.cases import failed, worked


def test_a_distribution_that_tells_them_apart_stands_first() -> None:
    bad = [
        failed("x", hostname=f"bad-{i}", host={"os_id": "rhel", "arch": "x86_64"}, parameters={"port": 80 + i})
        for i in range(3)
    ]
    good = [worked(i, host={"os_id": "debian", "arch": "x86_64"}, parameters={"port": 80 + i}) for i in range(4)]
    found = contrast(bad, good)
    assert found.lines[0] == "failed on 3 hosts, worked on 4 hosts"
    assert found.lines[1] == "host.os_id: rhel (3) where it failed, debian (4) where it worked"
    assert found.separating("platform", "host.os_id") is found.of("host.os_id")
    assert found.of("host.arch") is None
    assert found.of("parameters.port") is None


def test_a_value_on_both_sides_separates_nothing() -> None:
    bad = [failed("x", host={"os_id": "rhel"}), failed("x", host={"os_id": "debian"})]
    assert contrast(bad, [worked(1, host={"os_id": "debian"})]).separating("host.os_id") is None


def test_a_run_that_does_not_say_separates_nothing() -> None:
    bad = [failed("x", host={"os_id": "rhel"}), failed("x", host={})]
    found = contrast(bad, [worked(1, host={"os_id": "debian"})])
    assert found.of("host.os_id")
    assert found.separating("host.os_id") is None


def test_the_own_service_is_compared_whatever_it_is_called() -> None:
    def before(service: str, exists: bool) -> dict[str, Any]:
        return {
            "services": {service: "failed", "redis": "stopped" if exists else "running"},
            "files": {f"/run/{service}/{service}.pid": {"exists": exists}},
        }

    bad = [failed("x", parameters={"service": name}, state_before=before(name, True)) for name in ("shop", "blog")]
    good = [worked(1, parameters={"service": "cart"}, state_before=before("cart", False))]
    found = contrast(bad, good)
    names = [difference.name for difference in found.differences if difference.separates]
    assert 'state.files["/run/<service>/<service>.pid"].exists' in names
    assert "state.services.redis" in names
    assert not any("services[" in name for name in names)


def test_numbers_differ_when_their_ranges_lie_apart() -> None:
    bad = [failed("x", state_before={"disk": {"usage_percent": value}}, duration_seconds=30.0) for value in (97, 99)]
    good = [
        worked(i, state_before={"disk": {"usage_percent": value}}, duration_seconds=29.5)
        for i, value in enumerate((40, 60))
    ]
    found = contrast(bad, good)
    assert "state.disk.usage_percent: 97 to 99 (2) where it failed, 40 to 60 (2) where it worked" in found.lines
    assert found.of("duration_seconds") is None


def test_a_leaning_is_shown_and_separates_nothing() -> None:
    bad = [failed("x", host={"os_version": value}) for value in ("11", "11", "11", "12")]
    good = [worked(i, host={"os_version": value}) for i, value in enumerate(("12", "12", "12", "12"))]
    difference = contrast(bad, good).of("host.os_version")
    assert difference
    assert not difference.separates


def test_fleeting_facts_say_nothing() -> None:
    bad = [
        failed(
            "x",
            state_before={
                "cpu": {"load_average": [9, 9, 9]},
                "files": {"/x": {"exists": True, "modified_at": 1}},
                "time": {"offset_seconds": 0.1},
            },
        )
    ]
    good = [
        worked(
            1,
            state_before={
                "cpu": {"load_average": [1, 1, 1]},
                "files": {"/x": {"exists": True, "modified_at": 2}},
                "time": {"offset_seconds": 0.2},
            },
        )
    ]
    assert not [difference for difference in contrast(bad, good).differences if difference.name.startswith("state.")]


def test_without_a_success_it_says_so() -> None:
    found = contrast([failed("x")], [])
    assert found.differences == ()
    assert found.lines == ("no run of this version is known to have worked, so there is nothing to compare with",)
    assert contrast([], []) == Contrast()


def test_the_same_host_on_both_sides_is_said() -> None:
    assert contrast([failed("x", hostname="web-1")], [worked(1, hostname="web-1")]).lines[0].endswith("1 of them both")


def test_the_order_of_runs_does_not_matter_and_lines_are_bounded() -> None:
    bad = [
        failed("x", parameters={f"p{i:02d}": f"v{j}" for i in range(30)}, execution_id=f"exec-20261122-R{j:04d}")
        for j in range(3)
    ]
    good = [worked(j, parameters={f"p{i:02d}": f"w{j}" for i in range(30)}) for j in range(3)]
    found = contrast(bad, good)
    assert contrast(bad[::-1], good[::-1]) == found
    assert len(found.lines) == 13
    assert found.lines[-1].startswith("and ")
