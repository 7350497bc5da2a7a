"""privilege: more rights than before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audits.books import START, book, command, edit, found, level, script, step

RULE = "privilege"


@pytest.mark.parametrize(
    "text",
    [
        "chmod u+s /usr/local/bin/tool",
        "chmod 4755 /usr/local/bin/tool",
        "chmod 2755 /usr/local/bin/tool",
        "install -m 4755 tool /usr/local/bin/tool",
        "setcap cap_net_admin+ep /usr/bin/tool",
        "usermod -aG wheel app",
        "usermod -aG app,sudo app",
        "gpasswd -a app docker",
        "useradd -o -u 0 toor",
        "echo 'app ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers",
        "echo 'app ALL=(ALL) NOPASSWD: ALL' | tee /etc/sudoers.d/app",
        "echo 'toor::0:0::/:/bin/sh' >> /etc//passwd",
        "sed -i 's/x/y/' /etc/shadow",
        "cp /tmp/k /root/.ssh/authorized_keys",
        "cat key >> /home/app/.ssh/authorized_keys",
        "echo 'root:x' | chpasswd",
        "ssh-copy-id app@host",
        "sudo sh -c 'echo x >> /etc/sudoers'",
        'python3 -c \'open("/etc/sudoers", "a").write("x")\'',
        'sh -c "echo a >> /etc/./shadow"',
        "f=/etc/sudoers; echo x >> $f",
        "visudo -f /tmp/x",
    ],
)
def test_given_rights_are_blocked(text: str) -> None:
    assert level(RULE, script(text)) == "block"


@pytest.mark.parametrize(
    "text",
    [
        "sudo systemctl restart web",
        "su -c 'systemctl restart web'",
        "doas reboot",
        "echo '* * * * * root x' > /etc/cron.d/x",
        "cp web.service /etc/systemd/system/web.service",
        "LD_PRELOAD=/tmp/x.so web",
        "useradd app",
        "crontab /tmp/x",
    ],
)
def test_borrowed_rights_warn(text: str) -> None:
    assert level(RULE, script(text)) == "warning"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (step("write_file", path="/etc/sudoers.d/app", content="x"), "block"),
        (step("ensure_line", path="/root/.ssh/authorized_keys", line="ssh-ed25519 AAAA"), "block"),
        (step("copy_file", source="/tmp/x", destination="/etc/shadow"), "block"),
        (step("ensure_line", path="/etc/pam.d/sshd", line="x"), "block"),
        (step("set_permissions", path="/usr/local/bin/tool", mode="4755"), "block"),
        (step("write_file", path="/etc/cron.d/app", content="0 * * * * app true\n"), "warning"),
        (step("write_file", path="/etc/systemd/system/web.service.d/limits.conf", content="x"), "warning"),
        (step("write_file", path="/etc/web/web.conf", content="x"), "quiet"),
        (step("set_permissions", path="/run/web", mode="0755"), "quiet"),
        (step("create_directory", path="/run/web", owner="web"), "quiet"),
    ],
)
def test_files(new: dict[str, Any], expected: str) -> None:
    assert level(RULE, new) == expected


@pytest.mark.parametrize(
    "text",
    [
        "systemctl restart web",
        "chmod 0755 /run/web",
        "chmod +x /opt/app/run",
        "id web",
        "cat /etc/passwd",
        "grep web /etc/group",
        "passwd -S web",
        "crontab -l",
        "PATH=/opt/bin:$PATH web",
    ],
)
def test_honest_work_passes(text: str) -> None:
    assert level(RULE, script(text)) == "quiet"


def test_become() -> None:
    risen = {**command("webctl", "repair"), "become": True}
    assert [
        f.level.value
        for f in found(RULE, book(), book(risen, START, version=2), edit=edit({"op": "insert_step", "step": risen}))
    ] == ["block"]
    assert [f.level.value for f in found(RULE, book(), book({**START, "become": True}, version=2))] == ["warning"]
    assert not found(
        RULE, book({**START, "become": True}), book({**START, "become": True, "timeout_seconds": 9}, version=2)
    )


def test_powershell() -> None:
    assert level(RULE, script("Add-LocalGroupMember -Group Administrators -Member app", "powershell")) == "block"
