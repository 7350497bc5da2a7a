"""The clock: what the time services print, and real scripts in their place on PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from learner.actions.base import UNKNOWN
from learner.actions.host import Deadline
from learner.actions.network import NoParams
from learner.actions.time import (
    PATH,
    CheckTimeOffset,
    SyncTime,
    TimeOffsetBelow,
    TimeOffsetParams,
    TimeProbe,
    parse_chronyc,
    parse_ntpq,
    parse_timedatectl,
)
from learner.executor.hosts.local import LocalHost
from learner.facts import merged

CHRONYC = """Reference ID    : C0248F82 (ntp.example.org)
Stratum         : 3
Ref time (UTC)  : Sun Nov 22 05:00:00 2026
System time     : 2.500001501 seconds {way} of NTP time
Last offset     : -0.000001632 seconds
RMS offset      : 0.000002360 seconds
Frequency       : 331.898 ppm fast
Residual freq   : 0.004 ppm
Skew            : 0.154 ppm
Root delay      : 0.373169 seconds
Root dispersion : 0.024780 seconds
Update interval : 64.2 seconds
Leap status     : {leap}
"""
NTPQ = """     remote           refid      st t when poll reach   delay   offset  jitter
==============================================================================
+192.0.2.1       198.51.100.9     2 u   35   64  377   23.194   -1.100   0.300
*203.0.113.5     .GPS.            1 u   12   64  377    1.204 {offset}   0.021
 192.0.2.77      .INIT.          16 u    - 1024    0    0.000    0.000   0.000
"""
TIMESYNC = """       Server: 203.0.113.5 (ntp.example.org)
Poll interval: 34min 8s (min: 32s; max 34min 8s)
         Leap: normal
      Version: 4
      Stratum: 2
    Reference: C342F10A
    Precision: 1us (-25)
Root distance: 22.033ms (max: 5s)
       Offset: {offset}
        Delay: 13.1ms
       Jitter: 2.19ms
 Packet count: 12
    Frequency: -7.211ppm
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH."""
    for name in ("sh", "cat"):
        os.symlink(shutil.which(name) or "", tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(directory: Path, name: str, text: str = "", exit_code: int = 0) -> None:
    """A program that prints its arguments on stderr and `text` on stdout."""
    path = directory / name
    path.write_text(f'#!/bin/sh\necho {name} "$@" >&2\ncat <<"END"\n{text}\nEND\nexit {exit_code}\n')
    path.chmod(0o755)


def soon() -> Deadline:
    return Deadline.after(15)


class TestTexts:
    def test_chronyc(self) -> None:
        assert parse_chronyc(CHRONYC.format(way="fast", leap="Normal")) == 2.500001501
        assert parse_chronyc(CHRONYC.format(way="slow", leap="Normal")) == -2.500001501
        assert parse_chronyc(CHRONYC.format(way="fast", leap="Not synchronised")) is None
        assert parse_chronyc("506 Cannot talk to daemon") is None

    def test_ntpq_says_how_far_the_others_are_ahead(self) -> None:
        assert parse_ntpq(NTPQ.format(offset="1500.250")) == -1.50025
        assert parse_ntpq(NTPQ.format(offset="  -0.402")) == 0.000402
        assert parse_ntpq(NTPQ.replace("*", "o").format(offset="2.0")) == -0.002
        assert parse_ntpq(NTPQ.replace("*", " ").format(offset="1.0")) is None
        assert parse_ntpq("ntpq: read: Connection refused") is None

    @pytest.mark.parametrize(
        ("text", "ahead"),
        [
            ("+1.234ms", -0.001234),
            ("-1.234ms", 0.001234),
            ("-12us", 0.000012),
            ("+1min 2.5s", -62.5),
            ("-1d 2h", 93_600.0),
            ("-0", 0.0),
            ("+2parsec", None),
        ],
    )
    def test_timedatectl_says_how_far_the_server_is_ahead(self, text: str, ahead: float | None) -> None:
        assert parse_timedatectl(TIMESYNC.format(offset=text)) == (None if ahead is None else pytest.approx(ahead))

    def test_timedatectl_before_the_first_answer(self) -> None:
        text = "       Server: (null) (ntp.ubuntu.com)\nPoll interval: 0 (min: 32s; max 34min 8s)\n Packet count: 0\n"
        assert parse_timedatectl(text) is None


class TestOffset:
    def test_the_first_that_knows(self, programs: Path) -> None:
        program(programs, "timedatectl", TIMESYNC.format(offset="-250ms"))
        assert TimeProbe().read(LocalHost(), 5.0) == {PATH: 0.25}
        program(programs, "ntpq", NTPQ.format(offset="1500.250"))
        assert TimeProbe().read(LocalHost(), 5.0) == {PATH: -1.50025}
        program(programs, "chronyc", CHRONYC.format(way="slow", leap="Normal"))
        done = CheckTimeOffset().run(NoParams(), LocalHost(), soon())
        assert done.success
        assert done.data == {"offset_seconds": -2.500002, "source": "chronyc"}
        assert done.facts == {PATH: -2.500002}

    def test_one_that_does_not_know_is_passed_over(self, programs: Path) -> None:
        program(programs, "chronyc", "506 Cannot talk to daemon", exit_code=1)
        program(programs, "ntpq", NTPQ.format(offset="1500.250"))
        assert TimeProbe().read(LocalHost(), 5.0) == {PATH: -1.50025}

    def test_nobody_knows(self, programs: Path) -> None:
        program(programs, "chronyc", CHRONYC.format(way="fast", leap="Not synchronised"))
        done = CheckTimeOffset().run(NoParams(), LocalHost(), soon())
        assert not done.success
        assert done.exit_code == 1
        assert "ntpq: command not found" in done.stderr
        assert TimeProbe().read(LocalHost(), 5.0) == {PATH: UNKNOWN}

    def test_nobody_to_ask(self, programs: Path) -> None:
        done = CheckTimeOffset().run(NoParams(), LocalHost(), soon())
        assert (done.exit_code, done.stderr) == (127, "chronyc, ntpq, timedatectl: command not found")

    def test_check(self, programs: Path) -> None:
        p = TimeOffsetParams(seconds=0.5)
        for offset, verdict in ((0.4, True), (-0.4, True), (-0.5, False), (2, False), (UNKNOWN, None)):
            assert TimeOffsetBelow().holds(p, {"time": {"offset_seconds": offset}}) is verdict
        program(programs, "timedatectl", TIMESYNC.format(offset="-250ms"))
        assert TimeOffsetBelow().holds(p, merged({}, TimeOffsetBelow().probe(p).read(LocalHost(), 5.0))) is True
        with pytest.raises(ValidationError):
            TimeOffsetParams(seconds=0)


class TestSync:
    def test_the_first_that_is_there(self, programs: Path) -> None:
        program(programs, "systemctl")
        assert SyncTime().run(NoParams(), LocalHost(), soon()).stderr == "systemctl restart systemd-timesyncd\n"
        program(programs, "ntpdate")
        assert SyncTime().run(NoParams(), LocalHost(), soon()).stderr == "ntpdate -u pool.ntp.org\n"
        program(programs, "chronyc", CHRONYC.format(way="fast", leap="Normal"))
        done = SyncTime().run(NoParams(), LocalHost(), soon())
        assert done.stderr == "chronyc makestep\n"
        assert done.facts == {PATH: 2.500002}

    def test_it_fails_as_the_program_does(self, programs: Path) -> None:
        program(programs, "chronyc", "506 Cannot talk to daemon", exit_code=1)
        done = SyncTime().run(NoParams(), LocalHost(), soon())
        assert (done.success, done.exit_code) == (False, 1)

    def test_nothing_there(self, programs: Path) -> None:
        done = SyncTime().run(NoParams(), LocalHost(), soon())
        assert (done.exit_code, done.stderr) == (127, "chronyc, ntpdate, systemctl: command not found")

    def test_effects(self) -> None:
        effects = SyncTime().effects(NoParams(), {})
        assert effects is not None
        assert effects["time",] == effects["certificates",] == UNKNOWN
