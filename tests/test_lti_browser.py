"""Launches in a real Chromium: embedded in a course page, in a window of its own, and where a page may not be embedded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlencode

import pytest
from fake_camera import chromium
from lti_platform import (
    LEARNER,
    TEACHER,
    UNIVERSITY,
    FakePlatform,
    ToolServer,
    registered,
    running_platform,
    running_tool,
)
from sqlalchemy import create_engine

from mien.privacy.level import Level
from mien.privacy.policy import decide
from mien.web.lti.launch import Role

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Frame, Page

PATIENCE_S = 120.0


def missing(what: str) -> NoReturn:
    """Skip, or fail where everything is required."""
    if os.environ.get("MIEN_REQUIRE_SHARED"):
        pytest.fail(f"MIEN_REQUIRE_SHARED is set and there is no {what}")
    pytest.skip(f"there is no {what}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
    path = chromium()
    if path is None:
        missing("Chromium (Debian: apt-get install chromium)")
    # cookies of other sites are blocked, as in browsers of today
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--test-third-party-cookie-phaseout"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, headless=True, args=options)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1100, "height": 800}, permissions=["camera"])
    made.set_default_timeout(PATIENCE_S * 1000)
    yield made
    made.close()


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[ToolServer]:
    engine = create_engine(f"sqlite:///{tmp_path / 'class.db'}")
    with running_tool(engine) as server:
        yield server
    engine.dispose()


@pytest.fixture
def platform(tool: ToolServer) -> Iterator[FakePlatform]:
    with running_platform(tool) as platform:
        yield platform


def wait(page: Page, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, [frame.url for frame in page.frames]
        page.wait_for_timeout(50)


def embedded(page: Page, tool: ToolServer, path: str) -> Frame:
    """Wait until the frame of a course page is at an address of the tool; return it."""
    wait(page, lambda: any(frame.url.startswith(tool.url + path) for frame in page.frames[1:]))
    return next(frame for frame in page.frames[1:] if frame.url.startswith(tool.url + path))


def course(context: BrowserContext, platform: FakePlatform, role: str = LEARNER) -> Page:
    page = context.new_page()
    page.goto(f"{platform.url}/course?{urlencode({'role': role})}")
    return page


def test_a_class_opens_embedded_where_the_course_page_passes_the_camera_on(
    context: BrowserContext, tool: ToolServer, platform: FakePlatform
) -> None:
    registered(tool, platform)
    page = course(context, platform)
    frame = embedded(page, tool, "/join/")
    wait(page, lambda: frame.inner_text("#camera") == "camera on")
    assert [launch.role for launch in tool.launches] == [Role.LEARNER]
    assert context.cookies() == []
    assert page.url.startswith(platform.url)


def test_a_window_of_its_own_is_offered_where_it_does_not(
    context: BrowserContext, tool: ToolServer, platform: FakePlatform
) -> None:
    registered(tool, platform)
    platform.passes_camera_on = False
    page = course(context, platform)
    frame = embedded(page, tool, "/lti/launch")
    frame.wait_for_selector("#own", state="visible")
    assert not frame.is_visible("#asking")
    assert not frame.is_visible("#opened")
    with context.expect_page() as opened:
        frame.click("#own")
    window = opened.value
    window.wait_for_selector("#camera")
    wait(window, lambda: window.inner_text("#camera") == "camera on")
    assert window.url.startswith(f"{tool.url}/join/")
    assert frame.is_visible("#opened")
    assert len(tool.launches) == 1
    assert context.cookies() == []


def test_a_class_can_be_opened_embedded_without_the_camera(
    context: BrowserContext, tool: ToolServer, platform: FakePlatform
) -> None:
    registered(tool, platform)
    platform.passes_camera_on = False
    page = course(context, platform)
    frame = embedded(page, tool, "/lti/launch")
    frame.click("#blocked a.second")
    frame = embedded(page, tool, "/join/")
    wait(page, lambda: frame.inner_text("#camera") == "NotAllowedError")


def test_a_launch_in_a_window_of_its_own_goes_straight_to_the_class(
    context: BrowserContext, tool: ToolServer, platform: FakePlatform
) -> None:
    registered(tool, platform)
    page = context.new_page()
    page.goto(platform.login_url())
    page.wait_for_url(f"{tool.url}/join/*")
    wait(page, lambda: page.inner_text("#camera") == "camera on")
    page.goto(platform.login_url(TEACHER))
    page.wait_for_url(f"{tool.url}/teach/*")
    assert context.cookies() == []


def test_a_teacher_goes_straight_to_the_class(context: BrowserContext, tool: ToolServer, platform: FakePlatform) -> None:
    registered(tool, platform)
    platform.passes_camera_on = False
    embedded(course(context, platform, TEACHER), tool, "/teach/")


def test_without_scripts_both_ways_are_offered(browser: Browser, tool: ToolServer, platform: FakePlatform) -> None:
    registered(tool, platform)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(platform.login_url())
    page.evaluate("1")
    # the platform's form needs a script; press it by hand as a browser without scripts cannot
    state, token = (page.get_attribute(f'input[name="{name}"]', "value") for name in ("state", "id_token"))
    answer = context.request.post(f"{tool.url}/lti/launch", form={"state": str(state), "id_token": str(token)})
    page.set_content(answer.text())
    assert page.is_visible("#here")
    assert page.is_visible("#asking .own")
    assert not page.is_visible("#blocked")
    context.close()


def test_pages_of_other_sites_cannot_embed_a_class(context: BrowserContext, tool: ToolServer, platform: FakePlatform) -> None:
    registered(tool, platform)
    with running_platform(tool) as stranger:
        stranger.url, home = platform.url, stranger.url  # its page starts a login of the registered platform
        page = context.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(f"{home}/course")
        wait(page, lambda: any("frame-ancestors" in each for each in refused))
        assert not any(frame.url.startswith(f"{tool.url}/join/") for frame in page.frames)


def test_a_teacher_adds_a_class_and_an_administrator_registers(
    context: BrowserContext, tool: ToolServer, platform: FakePlatform
) -> None:
    link = tool.tool.platforms.invite(platform.url)
    page = context.new_page()
    sent = urlencode({"openid_configuration": f"{platform.url}/configuration", "registration_token": "reg-1"})
    page.goto(f"{link}?{sent}")
    for key in ("context", "jurisdiction", "purpose", "legal_basis"):
        page.select_option(f"#{key}", getattr(UNIVERSITY, key))
    page.fill("#operator", "a university")
    page.fill("#contact", "office@example.org")
    page.click("text=Register >> nth=-1")
    page.wait_for_selector("#finish")
    page.evaluate("window.addEventListener('message', (event) => { window.closing = event.data.subject; })")
    page.click("#finish")
    assert page.evaluate("new Promise((done) => setTimeout(() => done(window.closing), 200))") == "org.imsglobal.lti.close"
    assert tool.tool.platforms.all()[0].policy.level is Level.OBSERVABLES

    platform.changes = platform.deep_linking(title="Week 4")
    page = course(context, platform, TEACHER)
    frame = embedded(page, tool, "/lti/launch")
    frame.click("button")
    wait(page, lambda: len(platform.returned) == 1)
    platform.changes = {}
    embedded(course(context, platform, TEACHER), tool, "/teach/")
    assert decide(tool.launches[-1].declaration).level is Level.OBSERVABLES
