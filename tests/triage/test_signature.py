from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.triage.masking import mask
from learner.triage.signature import signature
from tests.triage.cases import done, failed, step, unverified_claim

# One failure as two hosts of two clients tell it: (one, the other).
SAME = {
    "klog": (
        "E1122 05:00:01.123456   12345 reflector.go:138] Failed to watch *v1.Pod",
        "E1201 17:40:59.654321     777 reflector.go:138] Failed to watch *v1.Pod",
    ),
    "the kernel's clock": ("[   12.345678] EXT4-fs error (device sda1)", "[99812.000001] EXT4-fs error (device sda1)"),
    "the file that moved while a tree was copied": (
        "tar: ./incoming: file changed as we read it",
        "tar: ./tmp/part-7: file changed as we read it",
    ),
    "a duration of several units": ("gave up after 2m30s", "gave up after 1h 5m 7s"),
    "a hardware address": ("no lease for 52:54:00:12:34:56", "no lease for 0a:ff:00:ab:cd:ef"),
    "a pod": ("pod web-7d9f8b6c5d-x2k4p is not ready", "pod web-5c6b7a8d9f-q9zrm is not ready"),
    "a request": ("req_9aXb2Lk3Qm7Zp was dropped", "req_1bYc8Dk2Wn5Tq was dropped"),
    "a Java thread": (
        "2026-11-22 05:00:01.123 ERROR [http-nio-8080-exec-7] the pool is empty",
        "2026-12-01 17:40:59.999 ERROR [http-nio-8080-exec-12] the pool is empty",
    ),
    "nginx, time and pid": (
        "2026/11/22 05:00:01 [emerg] 1234#1234: bind() to 0.0.0.0:8081 failed (98: Address already in use)",
        "2026/12/01 17:40:59 [emerg] 88#88: bind() to 0.0.0.0:9090 failed (98: Address already in use)",
    ),
    "syslog prefix": (
        "Nov 22 05:00:01 web-1 systemd[1]: web.service: Main process exited, code=exited, status=203/EXEC",
        "Dec  1 17:40:59 web-1 systemd[1]: web.service: Main process exited, code=exited, status=203/EXEC",
    ),
    "redis": (
        "1234:M 22 Nov 2026 05:00:01.123 # Could not create server TCP listening socket *:6379: bind: Address already in use",
        "7:M 01 Dec 2026 17:40:59.001 # Could not create server TCP listening socket *:6379: bind: Address already in use",
    ),
    "postgres": (
        '2026-11-22 05:00:01.123 UTC [4242] FATAL:  lock file "postmaster.pid" already exists\n'
        'HINT:  Is another postmaster (PID 123) running in data directory "/var/lib/postgresql/15/main"?',
        '2026-12-01 17:40:59.9 CET [17] FATAL:  lock file "postmaster.pid" already exists\n'
        'HINT:  Is another postmaster (PID 9) running in data directory "/var/lib/postgresql/15/main"?',
    ),
    "uuid, hex, temporary path": (
        "job 4f9c2d1e-3c55-4c0a-9f0e-2b7f6a1f0c11 left /tmp/tmpab12cd/x.sock at 0x7ffd1234",
        "job 00000000-3c55-4c0a-9f0e-2b7f6a1f0c99 left /tmp/tmpzz99qq/x.sock at 0x55aa0042",
    ),
    "container id": (
        "Error: failed to start container 3f4a9b2c1d0e: OCI",
        "Error: failed to start container 99aa00bb11cc: OCI",
    ),
    "mirror": (
        "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.debian.org'",
        "W: Failed to fetch http://mirror.example.net/debian/dists/bookworm/InRelease  Temporary failure resolving 'mirror.example.net'",
    ),
    "address of a peer": (
        "connect to 10.0.3.7:51234 failed: Connection refused",
        "connect to 192.168.1.20:40000 failed: Connection refused",
    ),
    "dated file": (
        "tar: /srv/backup/app-2026-11-22.tar.gz: Cannot write: No space left on device",
        "tar: /srv/backup/app-2026-12-01.tar.gz: Cannot write: No space left on device",
    ),
    "apt": (
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (apt-get)",
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 99 (apt-get)",
    ),
    "a temporary script on Windows": (
        "At C:\\Windows\\Temp\\learner-3f1c.ps1:2 char:1\nImport-Module: no valid module file was found",
        "At C:\\Windows\\Temp\\learner-90aa.ps1:2 char:1\nImport-Module: no valid module file was found",
    ),
    "a home": ("cannot open /home/alice/app/run.sh", "cannot open /home/bob/app/run.sh"),
    "a traceback's lines": (
        'Traceback (most recent call last):\n  File "/srv/app/x.py", line 12, in <module>\n    foo()\nOSError: [Errno 98] Address already in use',
        'Traceback (most recent call last):\n  File "/opt/y.py", line 99, in main\n    bar()\nOSError: [Errno 98] Address already in use',
    ),
    "colours and Windows line ends": ("\x1b[31mfatal:\x1b[0m no backend\r\n", "fatal: no backend"),
    "standing advice": (
        'Job for web.service failed because a timeout was exceeded.\nSee "systemctl status web.service" and "journalctl -xeu web.service" for details.',
        "Job for web.service failed because a timeout was exceeded.",
    ),
    "amounts": ("only 12.3GB of 40 GB left after 30s (93.4%)", "only 1.1GB of 80 GB left after 7s (99%)"),
}

# Two failures that must stay apart.
DIFFERENT = {
    "errno": ("open() failed (2: No such file or directory)", "open() failed (13: Permission denied)"),
    "exit code": ("backup.sh: exit code 1 of rsync", "backup.sh: exit code 12 of rsync"),
    "status": ("http://127.0.0.1:8080/: 503, not 200", "http://127.0.0.1:8080/: 404, not 200"),
    "a known port names the service": (
        "Error connecting to 127.0.0.1:6379: Connection refused",
        "Error connecting to 127.0.0.1:5432: Connection refused",
    ),
    "here and elsewhere": ("connect to 127.0.0.1:6379: refused", "connect to 10.0.0.7:6379: refused"),
    "another path": ("cannot create /run/web/web.pid", "cannot create /var/log/web/error.log"),
    "systemd's status": ("Main process exited, status=203/EXEC", "Main process exited, status=200/CHDIR"),
    "Windows": ("StartService FAILED 1053:", "StartService FAILED 1069:"),
    "a tool's version is its name": ("python3: not found", "python2: not found"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_one_failure_has_one_signature(one: str, other: str) -> None:
    here, there = (
        failed(one),
        failed(other, execution_id="exec-20261201-ZZZZ9999", client_id="globex", started_at="2026-12-01T17:40:50Z"),
    )
    assert signature(here) == signature(here)
    assert signature(here).title == signature(there).title
    assert signature(here).key == signature(there).key


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_two_failures_have_two_signatures(one: str, other: str) -> None:
    assert signature(failed(one)).key != signature(failed(other)).key


def test_a_runs_own_words_are_masked() -> None:
    one = failed("shop on db-17.acme.lan: cannot bind port 18080, pidfile /run/shop/shop.pid (exec-20261122-AAAA1111, INC-77)",
                 parameters={"service": "shop", "port": 18080}, hostname="db-17.acme.lan", execution_id="exec-20261122-AAAA1111", incident_id="INC-77")  # fmt: skip
    other = failed("blog on web-3: cannot bind port 4000, pidfile /run/blog/blog.pid (exec-20261122-BBBB2222, INC-9)",
                   parameters={"service": "blog", "port": 4000}, hostname="web-3", execution_id="exec-20261122-BBBB2222", incident_id="INC-9")  # fmt: skip
    assert (
        signature(one).title
        == "<service> on <host>: cannot bind port <port>, pidfile /run/<service>/<service>.pid (<execution>, <incident>)"
    )
    assert signature(one).key == signature(other).key


def test_the_short_name_of_a_host_is_the_host() -> None:
    assert signature(failed("web-9: no backend", hostname="web-9.acme.example")).title == "<host>: no backend"


def test_a_short_or_empty_parameter_masks_nothing() -> None:
    run = failed("e: 1 of 5 failed", parameters={"level": "e", "flag": True, "count": 1, "nothing": None, "text": ""})
    assert signature(run).title == "e: # of # failed"


def test_the_failing_step_is_the_one_that_ended_the_run() -> None:
    steps = [step("told to go on", step_number=1, step_id="probe", action="check_port"), step("the end", step_number=2, step_id="start"),
             step("rolled back badly", step_number=3, step_id="undo", phase="rollback")]  # fmt: skip
    for end in (2, None):
        run = failed("the end", steps=steps, error_step=end)
        assert (signature(run).step_id, signature(run).title) == ("start", "the end")


def test_a_failed_check_stands_before_steps_that_were_told_to_go_on() -> None:
    run = unverified_claim(
        "http_ok",
        503,
        {"url": "http://127.0.0.1:8080/"},
        steps=[step("tolerated"), done("start_service", 2, name="web")],
    )
    found = signature(run)
    assert (found.check, found.step_id, found.title) == ("http_ok", None, "http_ok: HTTP 503")


def test_an_error_that_says_nothing_is_helped_by_the_output() -> None:
    run = failed("exit code 1", "run_command", step_more={"output": "step 1\nstep 2\nmake: no rule to make target 'x'"})
    assert "no rule to make target" in signature(run).title


def test_a_run_without_steps_is_known_by_its_message_and_never_by_nothing() -> None:
    assert (
        signature(failed("boom", steps=[], error_message="the agent lost its host")).title == "the agent lost its host"
    )
    bare = failed("", steps=[], error_message=None, verification_passed=False, verification_method="probe")
    assert signature(bare).title == "verification did not pass: probe"
    assert signature(failed("", steps=[], error_message=None)).title == "no error was recorded"


def test_facts_are_those_that_the_error_names() -> None:
    run = failed(
        "web: pidfile /run/web/web.pid exists; redis on 127.0.0.1:6379 refused",
        state_before={"services": {"web": "failed", "redis": "stopped", "cron": "running"}},
    )
    assert signature(run).facts == {
        ("files", "/run/web/web.pid"),
        ("ports", "6379"),
        ("services", "redis"),
        ("services", "web"),
    }


def test_a_known_set_of_services_does_not_change_the_key() -> None:
    error = "could not reach redis"
    assert (
        signature(failed(error)).key
        == signature(failed(error, state_before={"services": {"web": "failed", "redis": "stopped"}})).key
    )


@given(st.text(max_size=300))
def test_masking_takes_any_text_and_keeps_to_one_line(text: str) -> None:
    masked = mask(text, {"web": "service"})
    assert "\n" not in masked
    assert len(masked) <= 1000
    assert mask(text, {"web": "service"}) == masked


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_numbers_on_their_own_never_matter(one: int, other: int) -> None:
    assert mask(f"worker {one} gave up after {other} tries", {}) == "worker # gave up after # tries"


def test_a_long_log_keeps_its_first_and_last_lines() -> None:
    lines = [f"line {'abcdefghij'[i % 10]}{'k' * i}" for i in range(50)]
    masked = mask("\n".join(lines), {})
    assert masked.startswith("line a ⏎ line bk")
    assert masked.endswith(f"line j{'k' * 49}")


@given(
    month=st.integers(1, 12), day=st.integers(1, 28), hour=st.integers(0, 23), thread=st.integers(1, 99_999),
    took=st.tuples(st.integers(1, 59), st.integers(1, 59)), mac=st.binary(min_size=6, max_size=6),
)  # fmt: skip
def test_a_signature_does_not_depend_on_what_is_volatile(
    month: int, day: int, hour: int, thread: int, took: tuple[int, int], mac: bytes
) -> None:
    line = (
        f"E{month:02}{day:02} {hour:02}:00:01.000001 {thread:>7} lease.go:12] no lease for {mac.hex(':')}, "
        f"gave up after {took[0]}m{took[1]}s"
    )
    told = "E0101 00:00:01.000001       1 lease.go:12] no lease for 00:00:00:00:00:00, gave up after 1m1s"
    assert mask(line, {}) == mask(told, {})


def test_a_client_named_like_a_word_of_a_standard() -> None:
    refused = "urn:ietf:params:acme:error:rateLimited :: too many certificates"
    assert mask(refused, {"acme": "client"}) == mask(refused, {})
    assert mask("no such bucket: acme-backups", {"acme": "client"}) == "no such bucket: <client>-backups"


def test_a_clock_may_be_wrong_either_way() -> None:
    ahead, behind = (
        unverified_claim("time_offset_below", {"time.offset_seconds": offset}, {"seconds": 0.5})
        for offset in (1.4, -2.2)
    )
    assert signature(ahead) == signature(behind)
