from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.facts import Path
from learner.mentions import addresses_in, facts_in, hosts_in, paths_in, services_in, urls_in

CASES: list[tuple[str, set[Path]]] = [
    ("pidfile /run/web/web.pid exists, is another instance running?", {("files", "/run/web/web.pid")}),
    ("nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)", {("ports", "8080"), ("services", "nginx")}),
    ("bind() to [::]:443 failed", {("ports", "443")}),
    ("listen tcp :8080: bind: address already in use", {("ports", "8080")}),
    ("Could not create server TCP listening socket *:6379: bind: Address already in use", {("ports", "6379")}),
    ("Could not connect to Redis at 127.0.0.1:6379: Connection refused", {("ports", "6379"), ("services", "redis")}),
    ("connect to localhost port 5432 failed", {("ports", "5432")}),
    ("ssh: connect to host backup.example.com port 22: Connection refused", {("ports", "backup.example.com:22")}),
    ('connection to server at "db.internal" (10.0.0.9), port 5432 failed', {("ports", "db.internal:5432")}),
    ('Is the server running on host "db" (10.0.0.9) and accepting\n\tTCP/IP connections on port 5432?', {("ports", "db:5432")}),
    ("dial tcp 10.0.0.7:443: i/o timeout", {("ports", "10.0.0.7:443")}),
    ("curl: (6) Could not resolve host: api.example.com", {("dns", "api.example.com")}),
    ("Temporary failure resolving 'deb.debian.org'", {("dns", "deb.debian.org")}),
    ("shop.example.com: Name or service not known", {("dns", "shop.example.com")}),
    ("http://127.0.0.1:8080/health: 503, not 200", {("endpoints", "http://127.0.0.1:8080/health"), ("ports", "8080")}),
    ("see https://shop.example.com/x).", {("endpoints", "https://shop.example.com/x"), ("ports", "shop.example.com:443")}),
    ("Job for nginx.service failed because of a timeout", {("services", "nginx")}),
    ("connect() to unix:/run/php/php8.2-fpm.sock failed", {("files", "/run/php/php8.2-fpm.sock")}),
    ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?", {("files", "/var/run/docker.sock")}),
    ("Cannot find path 'C:\\ProgramData\\App\\run' because it does not exist.", {("files", "C:\\ProgramData\\App\\run")}),
    ("Could not find file 'C:\\Program Files\\web server\\a.conf'.", {("files", "C:\\Program Files\\web server\\a.conf")}),
    ("At C:\\web\\run.ps1:12 char:3", {("files", "C:\\web\\run.ps1")}),
    ("Copy-Item : \\\\nas\\share\\a\\..\\x.bak: Access is denied.", {("files", "\\\\nas\\share\\x.bak")}),
    ("'C:\\tools\\web.exe -c C:\\web\\a.conf' failed", {("files", "C:\\tools\\web.exe"), ("files", "C:\\web\\a.conf")}),
    ("it stands on C:\\", set()),
    ("[Errno 2] No such file or directory: '/srv/app/my files/x.sock'", {("files", "/srv/app/my files/x.sock")}),
    ('unknown directive "x" in /etc/web/web.conf:12', {("files", "/etc/web/web.conf")}),
    ("tar: /backup/x.tar: Cannot write: No space left on device", {("files", "/backup/x.tar"), ("disk",)}),
    ("fork: Cannot allocate memory", {("memory",)}),
    ('cannot load certificate "/etc/ssl/site.pem": not yet valid', {("files", "/etc/ssl/site.pem"), ("certificates", "/etc/ssl/site.pem"), ("time",)}),
    ("2026-11-22T05:00:07 worker 12:30 in app.py:12 and/or 3/4 of them", set()),
    ("", set()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "named"), CASES, ids=[text[:40] for text, _ in CASES])
def test_what_an_error_names(text: str, named: set[Path]) -> None:
    assert facts_in(text, services=["redis", "nginx", "cron"]) == named


def test_a_unit_is_named_as_the_state_names_it() -> None:
    assert services_in("nginx.service failed", ["nginx.service"]) == {"nginx.service"}
    assert services_in("nginx.service failed", ["nginx"]) == {"nginx"}
    assert services_in("postgresql@15-main.service failed") == {"postgresql@15-main"}


@pytest.mark.parametrize("text", ["webhook", "web-admin", "/srv/web/x", "web.py", "theweb", "my-web"])
def test_a_service_is_named_by_a_whole_word_only(text: str) -> None:
    assert services_in(text, ["web"]) == frozenset()


def test_a_peer_is_a_host_even_without_a_port() -> None:
    assert list(hosts_in("rsync: failed to connect to backup.example.com (203.0.113.9): No route to host")) == [
        "backup.example.com"
    ]
    assert list(hosts_in("waiting for nginx.service and for app.py from config.yaml")) == []


def test_a_port_out_of_range_is_none() -> None:
    assert addresses_in("127.0.0.1:99999 and port 70000 and 10.0.0.1:0") == []


def test_order_is_kept_and_nothing_stands_twice() -> None:
    assert paths_in("/b then /a/x then /b and '/b'") == ["/b", "/a/x"]
    assert urls_in("http://b/ http://a/") == ["http://b/", "http://a/"]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_any_text_is_read(text: str) -> None:
    for path in facts_in(text, services=["web"]):
        assert path
        assert all(isinstance(key, str) for key in path)


@pytest.mark.parametrize(
    "text",
    [
        "/" * 20_000,
        "a." * 10_000,
        ":8" * 10_000,
        "http://" * 3_000,
        "'/" * 10_000,
        "x" * 20_000 + ":80",
        "/a" * 10_000 + "!",
        "to " * 7_000,
    ],
)
def test_hostile_texts_are_read_quickly(text: str) -> None:
    import time

    began = time.perf_counter()
    facts_in(text)
    assert time.perf_counter() - began < 1.0


def test_a_unit_that_the_message_bus_knows_by_another_name() -> None:
    said = "Failed to flush caches: Unit dbus-org.freedesktop.resolve1.service not found."
    assert ("services", "systemd-resolved") in facts_in(said)
    assert ("services", "systemd-resolved.service") in facts_in(said, services=["systemd-resolved.service"])
