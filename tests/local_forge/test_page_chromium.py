"""The review page in a real browser: the whole flow by clicks and keys, both schemes, two widths, and axe."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import forge_scene as scene
import pytest
from forge_world import World

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# Only the axe.min.js in it is used, so the package is found and not imported; the newer one is taken where it is.
AXE = find_spec("axe_playwright_python") or find_spec("axe_core_python")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER and AXE and find_spec("selenium")) and os.environ.get("LEARNER_NO_SKIPS") != "1",
    reason="needs chromium, chromedriver, selenium and axe-core-python",
)
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


class Page:
    """A browser window, signed in."""

    def __init__(self, world: World, profile: Path, width: int, height: int, scheme: str) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        assert CHROMIUM, "chromium is not installed"
        assert DRIVER, "chromedriver is not installed"
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (*OPTIONS.split(), f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.driver.set_page_load_timeout(30)
        self.url = world.running.url
        self.look(width, height, scheme)

    def look(self, width: int, height: int, scheme: str) -> None:
        """As another screen would show it."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def go(self, path: str) -> None:
        self.driver.get(path if path.startswith("http") else self.url + path)

    def one(self, selector: str) -> Any:
        """The element, waited for: after a click the next page takes a moment."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20).until(lambda driver: driver.find_element("css selector", selector))

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def click(self, selector: str) -> None:
        element = self.one(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        sends = element.tag_name == "button" and element.get_property("type") == "submit"
        before = self.driver.find_element("css selector", "html")
        element.click()
        if sends:
            self._leave(before)

    def _leave(self, before: Any) -> None:
        """Wait until the page that was sent off is gone; one that its own checks held back stays."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.expected_conditions import staleness_of
        from selenium.webdriver.support.ui import WebDriverWait

        with contextlib.suppress(TimeoutException):
            WebDriverWait(self.driver, 5).until(staleness_of(before))

    def keys(self, text: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(text).perform()

    def until(self, what: Callable[[], object]) -> None:
        from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        passing = (NoSuchElementException, StaleElementReferenceException)  # a page is on its way out
        WebDriverWait(self.driver, 20, ignored_exceptions=passing).until(lambda _: what())

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector) if element.is_displayed()]

    def focused(self) -> Any:
        return self.driver.switch_to.active_element

    def axe(self) -> list[Any]:
        """What axe finds wrong with the page as it stands: (rule, impact, where)."""
        assert AXE, "axe-core-python is not installed"
        assert AXE.submodule_search_locations
        script = Path(AXE.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")
        self.driver.execute_script(script)
        run = "const done = arguments[0]; axe.run().then(r => done(r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html.slice(0, 200))])))"
        return list(self.driver.execute_async_script(run))

    def complaints(self) -> list[str]:
        """What the browser's console says, such as a broken policy. Answers such as 409 are meant to happen."""
        return [
            e["message"]
            for e in self.driver.get_log("browser")
            if "the server responded with a status" not in e["message"]
        ]


@pytest.fixture
def open_page(world: World, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    opened: list[Page] = []

    def make(login: str | None = "ada", width: int = 1280, height: int = 900, scheme: str = "light") -> Page:
        page = Page(world, tmp_path / f"profile-{len(opened)}", width, height, scheme)
        opened.append(page)
        page.go(world.running.login_url(login) if login else "/")
        return page

    yield make
    for each in opened:
        each.driver.quit()


PULL = "/acme/runbooks/pull/1"


def test_from_the_door_to_the_merge(world: World, open_page: Callable[..., Page]) -> None:
    numbers = scene.live_in(world)
    page = open_page(None)
    page.one("#token").send_keys("token-of-ada")
    page.click("button.primary")
    assert page.one("h1").text == "Waiting for you"

    # The list, by keyboard.
    page.keys("/")
    page.keys("inodes")
    assert len(page.texts(".row h2")) == 1
    page.keys("\ue00c")  # Escape
    page.driver.execute_script("q.value = ''; q.dispatchEvent(new Event('input'))")
    assert len(page.texts(".row h2")) == 4
    page.keys("j")
    page.keys("j")
    assert "Free inodes" in page.one(".row.chosen").text
    page.keys("k")
    page.keys("\ue007")  # Enter
    page.until(lambda: page.driver.current_url.endswith(PULL))

    # What failed, what changes, what it may touch now.
    assert page.texts("#glance-1 ~ ul li") == ["new path /run/{{ service }}/{{ service }}.pid (remove)"]
    assert len(page.all("svg.flowchart .node")) == 8
    assert page.texts(".badge") == ["new step", "changed step"]
    folded = len(page.texts(".diff tr.same"))
    page.keys("e")
    assert len(page.texts(".diff tr.same")) > folded
    assert "pidfile /run/web/web.pid exists" in page.one(".failure pre.error").text
    assert page.one(".merge button").get_attribute("disabled")

    # Words on a line, sent with a request for changes.
    page.click('button.line[data-side="RIGHT"][data-line="31"]')
    page.focused().send_keys("Is 45 s enough on slow hosts?")
    assert page.one("#line-count").text == "With 1 remark on lines."
    page.one("#words").send_keys("One question.")
    page.click('button[value="REQUEST_CHANGES"]')
    page.until(lambda: "Your words are with the author now." in page.one(".notice").text)
    assert page.texts(".diff .thread .prose") == ["Is 45 s enough on slow hosts?"]
    assert "ada asks for changes" in page.texts(".standing li")

    # The learner answers on the line; a person approves, and merges.
    said = world.repo("learner[bot]").get_pull(numbers["high"]).get_review_comments()[0]
    world.repo("learner[bot]").get_pull(numbers["high"]).create_review_comment_reply(said.id, "The slowest took 31 s.")
    page.go(PULL)
    assert "The slowest took 31 s." in page.texts(".diff .thread .prose")
    page.click('button[value="APPROVE"]')
    page.until(lambda: "Approved" in page.one(".notice").text)
    page.click(".merge button")
    page.until(lambda: "Merged." in page.one(".notice").text)
    assert page.texts(".pill.state-merged") == ["Merged"]
    merged = world.repo("bob").get_pull(numbers["high"])
    assert (merged.merged_by.login, world.repo("bob").get_branch("main").commit.commit.author.name) == ("ada", "Ada")
    assert not page.all("#review")

    # The statistics know.
    page.keys("g")
    page.keys("s")
    page.until(lambda: page.driver.current_url.endswith("/statistics"))
    assert page.texts(".tiles dd")[:4] == ["3", "0", "2", "0"]
    assert page.complaints() == []


def test_close_with_a_reason(world: World, open_page: Callable[..., Page]) -> None:
    scene.live_in(world)
    page = open_page()
    page.go(PULL)
    page.click(".close summary")
    page.click('input[value="dangerous"]')
    page.one("#close-words").send_keys("It may remove a live pid file.")
    page.click("button.danger")
    page.until(lambda: "Closed." in page.one(".notice").text)
    pull = world.repo("bob").get_pull(1)
    assert (pull.state, pull.merged, "rejected:dangerous" in [x.name for x in pull.labels]) == ("closed", False, True)
    assert "It may remove a live pid file." in pull.get_issue_comments()[0].body
    page.click(".decide form button")
    page.until(lambda: "Open again." in page.one(".notice").text)


def test_a_refusal_keeps_what_was_typed(world: World, open_page: Callable[..., Page]) -> None:
    world.pull()
    page = open_page()
    page.go(PULL)
    page.one("#words").send_keys("Typed with care")
    world.repo("bob").create_file("more", "More", "x", branch="learner/fix-1")
    page.click('button[value="APPROVE"]')
    page.until(lambda: "The proposal changed since you loaded this page" in page.one(".notice").text)
    assert page.one("#words").get_attribute("value") == "Typed with care"
    page.click('button[value="APPROVE"]')
    page.until(lambda: "Approved" in page.one(".notice").text)


def test_the_keyboard_alone(world: World, open_page: Callable[..., Page]) -> None:
    scene.live_in(world)
    page = open_page()
    page.keys("?")
    assert page.one("#help").is_displayed()
    page.keys("\ue00c")
    assert not page.one("#help").is_displayed()
    page.go(PULL)
    page.keys("2")
    assert page.focused().get_attribute("id") == "changes"
    page.keys("j")
    assert page.focused().get_attribute("class") == "line"
    page.keys("r")
    assert page.focused().get_attribute("id") == "words"
    page.keys("g")
    assert page.one("#words").get_attribute("value") == "g"
    page.keys("\ue00c")
    page.keys("g")
    page.keys("p")
    page.until(lambda: page.one("h1").text == "Waiting for you")


def test_axe_has_nothing_to_say(world: World, open_page: Callable[..., Page]) -> None:
    scene.live_in(world)
    world.repo("bob").create_issue("Backlog above 10", "| a |\n|---|\n| 12 |", labels=["alert"])
    page, base = open_page(None), "/acme/runbooks"
    found = {"/login": page.axe()}
    page.go(world.running.login_url("ada"))
    main = ["/", "/statistics", f"{base}/pull/1", f"{base}/pull/5"]
    rest = [
        "/?state=merged",
        "/?q=zebra",
        "/issues",
        f"{base}/issues/6",
        *(f"{base}/pull/{n}" for n in (2, 3, 4)),
        "/nowhere",
    ]
    rest += [f"{base}/blob/main/runbooks/linux/disk-full.yaml", f"{base}/commit/{world.forge.repo.heads()['main']}"]
    for width, scheme, paths in (
        (1280, "light", main + rest),
        (390, "light", main),
        (1280, "dark", main),
        (390, "dark", main + rest),
    ):
        page.look(width, 844, scheme)
        for path in paths:
            page.go(path)
            if "/pull/" in path:
                page.driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
                page.keys("e")
            found[f"{path} {width} {scheme}"] = page.axe()
            wide = page.driver.execute_script(
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide <= 0, f"{path} is wider than {width}"
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    assert page.complaints() == []


def test_it_works_without_scripts(world: World, open_page: Callable[..., Page]) -> None:
    scene.live_in(world)
    page = open_page()
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.go(PULL)
    assert len(page.texts(".diff tr.same")) > 25  # nothing is folded away
    page.one("#words").send_keys("Fine.")
    page.click('button[value="APPROVE"]')
    page.until(lambda: "Approved" in page.one(".notice").text)
