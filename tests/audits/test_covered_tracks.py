"""covered-tracks: records that would be missing."""

from __future__ import annotations

import pytest

from tests.audits.books import level, script, step

RULE = "covered-tracks"


@pytest.mark.parametrize(
    "text",
    [
        "rm -f /var/log/auth.log",
        "> /var/log/wtmp",
        ": > /var/log/secure",
        "truncate -s0 /var/log/audit/audit.log",
        "shred -u /root/.bash_history",
        "history -c",
        "unset HISTFILE",
        "HISTFILE=/dev/null sh -c x",
        "auditctl -D",
        "systemctl stop auditd",
        "sudo systemctl disable --now rsyslog",
        "service rsyslog stop",
        "pkill auditd",
        "sh -c 'rm /var/log/syslog.1'",
        "f=/var/log/auth.log; rm $f",
        "rm -rf /var/log/*",
        "wevtutil cl Security",
    ],
)
def test_missing_records_are_blocked(text: str) -> None:
    assert level(RULE, script(text)) == "block"


@pytest.mark.parametrize(
    "text",
    [
        "rm -f /var/log/app/app.log.1",
        "journalctl --vacuum-time=7d",
        "journalctl -u web -n 50",
        "systemctl restart rsyslog",
        "logrotate -f /etc/logrotate.d/web",
        "cat /var/log/syslog",
    ],
)
def test_honest_work_passes(text: str) -> None:
    assert level(RULE, script(text)) == "quiet"


def test_actions_of_the_catalogue() -> None:
    assert level(RULE, step("remove_file", path="/var/log/auth.log")) == "block"
    assert level(RULE, step("clean_directory", path="/var/log/audit", patterns=["*"])) == "block"
    assert level(RULE, step("stop_service", name="auditd")) == "block"
    assert level(RULE, step("vacuum_journal", keep_days=7)) == "quiet"
    assert level(RULE, step("clean_directory", path="/var/log/web", patterns=["*.gz"])) == "quiet"
