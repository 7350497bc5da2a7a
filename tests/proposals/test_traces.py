"""What a run's own traces tell, and the commands that look before something is taken away."""

from __future__ import annotations

import json

import pytest

from learner.models import StepExecution
from learner.proposals.patterns.native import native
from learner.proposals.patterns.order import named
from learner.proposals.patterns.removals import look
from learner.proposals.patterns.traces import holders, leftovers, stand_ins, unread_units


def done(number: int, action: str, **params: object) -> StepExecution:
    value = {"step_number": number, "action": action, "params": params, "success": True}
    return StepExecution.model_validate_json(json.dumps(value))


LSOF = "COMMAND     PID USER FD TYPE DEVICE SIZE/OFF NLINK NODE NAME\n"


@pytest.mark.parametrize(
    ("line", "services", "held"),
    [
        ("varnishnc 1290 v 4w REG 254,3 9 0 1 /var/log/varnish/x.log (deleted)", ["varnish", "varnishncsa"], ["varnishncsa"]),
        ("rsyslogd 4 root 7w REG 8,1 9 0 7 /var/log/web.log (deleted)", ["rsyslog", "web"], ["rsyslog"]),
        ("java 4 app 7w REG 8,1 9 0 7 /var/log/shop/shop.log (deleted)", ["shop", "nginx"], ["shop"]),
        ("nginx 4 root 7w REG 8,1 9 1 7 /var/log/nginx/access.log", ["nginx"], []),
    ],
)  # fmt: skip
def test_who_holds_removed_files_open(line: str, services: list[str], held: list[str]) -> None:
    assert list(holders(LSOF + line, dict.fromkeys(services, "running"))) == held


def test_a_stopped_service_holds_nothing() -> None:
    assert holders("rsyslogd 4 root 7w REG 8,1 9 0 7 /var/log/a (deleted)", {"rsyslog": "stopped"}) == {}


@pytest.mark.parametrize(
    ("path", "name", "more", "units"),
    [
        ("/etc/systemd/system/feed.service", "feed", [], ["feed.service"]),
        ("/etc/systemd/system/feed.service.d/limits.conf", "feed.service", [], ["feed.service"]),
        ("/etc/systemd/system/other.service", "feed", [], []),
        ("/etc/feed.conf", "feed", [], []),
        ("/etc/systemd/system/feed.service", "feed", [["systemctl", "daemon-reload"]], []),
    ],
)
def test_units_that_were_written_and_not_read(path: str, name: str, more: list[list[str]], units: list[str]) -> None:
    steps = [done(1, "write_file", path=path, content="x")]
    steps += [done(2, "run_command", argv=argv) for argv in more]
    assert unread_units([*steps, done(9, "restart_service", name=name)]) == units


@pytest.mark.parametrize(
    ("own", "services", "found"),
    [
        ("systemd-resolved", {"NetworkManager": "running"}, ["NetworkManager"]),
        ("systemd-resolved", {"NetworkManager": "running", "systemd-resolved": "stopped"}, []),
        ("ntp", {"chronyd": "stopped"}, []),
        ("apache2", {"nginx": "running"}, []),
    ],
)
def test_who_stands_in(own: str, services: dict[str, str], found: list[str]) -> None:
    assert list(stand_ins(own, services)) == found


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("4871120 /var/lib/php/sessions\n  31027 /var/lib/dpkg/info", ["/var/lib/php/sessions"]),
        ("31027 /var/lib/php/sessions\n4871120 /var/vmail/new", []),
        ("nothing counted", []),
    ],
)
def test_where_most_leftovers_lie(printed: str, found: list[str]) -> None:
    assert list(leftovers(printed)) == found


@pytest.mark.parametrize(
    ("argv", "looks"),
    [
        (["docker", "rm", "-f", "web"], ["docker", "container", "inspect", "web"]),
        (["docker", "network", "rm", "blue"], ["docker", "network", "inspect", "blue"]),
        (["/usr/sbin/userdel", "-r", "old"], ["getent", "passwd", "old"]),
        (["umount", "/mnt/a"], ["mountpoint", "-q", "/mnt/a"]),
        (["ip", "link", "del", "dev", "br0"], ["ip", "link", "show", "dev", "br0"]),
        (["kubectl", "delete", "pod", "a"], ["kubectl", "get", "pod", "a"]),
        (["net", "user", "old", "/delete"], ["net", "user", "old"]),
        (["docker", "rm", "a", "b"], None),
        (["rm", "-rf", "/srv/a", "/srv/b"], None),
        (["net", "user", "old", "/add"], None),
        (["apt-get", "remove", "nginx"], None),
    ],
)
def test_how_to_look_for_what_is_taken_away(argv: list[str], looks: list[str] | None) -> None:
    assert look(argv) == looks


def test_a_look_is_no_action() -> None:
    assert native(["mountpoint", "-q", "/mnt/a"]) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("failed to open pattern file </etc/haproxy/hosts.map>: No such file", {"/etc/haproxy/hosts.map"}),
        ("chown: invalid user: 'indexer'", {"indexer"}),
        ("bash: jq: command not found", {"jq"}),
        ("error: domain snapshot nightly already exists", {"nightly"}),
    ],
)
def test_what_an_error_names(text: str, names: set[str]) -> None:
    assert names <= named(text)
