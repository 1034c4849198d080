"""The class server's own pages, opened from a course in a real Chromium: embedded, and in a window of their own."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
import uvicorn
from build_web import build_pages
from lrs_servers import free_port
from lti_platform import (
    CLIENT,
    CLUB,
    DEPLOYMENT,
    TEACHER,
    UNIVERSITY,
    FakePlatform,
    Visitor,
    code_of,
    get,
    post,
    serving,
)
from test_lti_browser import browser, context, course, missing, wait

from mien.privacy.deployment import Deployment
from mien.web.classroom.app import create_class_app
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.operation import Log, Metrics
from mien.web.classroom.settings import ClassSettings
from mien.web.course_classes import LearningPlatforms
from mien.web.lti.routes import LtiTool

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Frame, Page

__all__ = ["browser", "context"]
OPERATOR = "operator-0123456789"


class ClassServer:
    """A class server with learning platforms.

    Attributes:
        url: its address.
        tool: its LTI tool.
    """

    def __init__(self, url: str, tool: LtiTool) -> None:
        self.url, self.tool = url, tool


@pytest.fixture
def server(tmp_path: Path, yunet: Path) -> Iterator[ClassServer]:
    if (trouble := build_pages()) != "":
        missing(trouble)
    port = free_port()
    database = ClassDatabase(f"sqlite:///{tmp_path / 'classes.db'}")
    settings = ClassSettings(url=f"http://localhost:{port}", metrics_token=OPERATOR)
    metrics = Metrics()
    platforms = LearningPlatforms(database, settings, metrics)
    web = create_class_app(
        settings,
        database,
        more_routes=platforms.routes,
        more_embedders=platforms.embedders,
        log=Log(io.StringIO()),
        metrics=metrics,
    )
    running = uvicorn.Server(uvicorn.Config(web.app, host="localhost", port=port, log_level="warning", access_log=False))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not running.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield ClassServer(settings.url, platforms.tool)
    web.app.state.stop()
    running.should_exit = True
    thread.join(60)
    database.close()


@pytest.fixture
def platform(server: ClassServer) -> Iterator[FakePlatform]:
    platform = FakePlatform(tool=server.url)
    with serving(platform.app()) as url:
        platform.url = url
        yield platform


def register(server: ClassServer, platform: FakePlatform, declaration: Deployment = CLUB) -> None:
    server.tool.platforms.add(
        issuer=platform.url,
        client_id=CLIENT,
        authorization_endpoint=f"{platform.url}/auth",
        jwks_uri=f"{platform.url}/keys",
        declaration=declaration,
        deployment_ids=[DEPLOYMENT],
    )


def embedded(page: Page, server: ClassServer, path: str) -> Frame:
    wait(page, lambda: any(frame.url.startswith(server.url + path) for frame in page.frames[1:]))
    return next(frame for frame in page.frames[1:] if frame.url.startswith(server.url + path))


def test_a_lesson_from_a_course_page(context: BrowserContext, server: ClassServer, platform: FakePlatform) -> None:
    register(server, platform)
    early = course(context, platform)
    frame = embedded(early, server, "/lti/launch")
    assert frame.inner_text("p.soft") == "class"  # no class yet: learners are asked to wait
    teacher = course(context, platform, TEACHER)
    teaching = embedded(teacher, server, "/teach#")
    wait(teacher, lambda: teaching.inner_text("#title") == "Lecture 3")
    learner = course(context, platform)
    joining = embedded(learner, server, "/join#")
    joining.wait_for_selector("#join", state="visible")
    assert "Lecture 3" in joining.inner_text("#consent-title")
    joining.click("#join")
    joining.wait_for_selector("#classroom", state="visible")
    joining.click("#start")  # in a frame whose page passes the camera on
    wait(learner, lambda: joining.evaluate("document.getElementById('captured-fps').textContent") not in ("", "-"))
    assert context.cookies() == []


def test_a_window_of_its_own_leads_to_the_class(context: BrowserContext, server: ClassServer, platform: FakePlatform) -> None:
    register(server, platform)
    Visitor(platform, server).launch(TEACHER)
    platform.passes_camera_on = False
    page = course(context, platform)
    frame = embedded(page, server, "/lti/launch")
    with context.expect_page() as opened:
        frame.click("#own")
    window = opened.value
    window.wait_for_selector("#join", state="visible")
    assert window.url.startswith(f"{server.url}/join#")


def test_who_opens_the_class_twice_goes_on_in_the_newer_window(
    context: BrowserContext, server: ClassServer, platform: FakePlatform
) -> None:
    register(server, platform)
    visitor = Visitor(platform, server)
    visitor.launch(TEACHER)
    pages = []
    for _ in range(2):
        path = re.search(r"/join#[\w-]{22}", visitor.launch().text)
        assert path is not None
        pages.append(context.new_page())
        pages[-1].goto(f"{server.url}{path[0]}")
        pages[-1].wait_for_selector("#notice p", state="visible")  # somebody else may sit there
        assert pages[-1].inner_text("#join") == ("Continue here" if len(pages) > 1 else "I agree and join")
        pages[-1].click("#join")
        pages[-1].wait_for_selector("#classroom", state="visible")
    pages[0].click("#signals button")  # goes with the next message, without a face
    wait(pages[0], lambda: "another window" in pages[0].inner_text("#class-status"))
    assert pages[0].is_disabled("#leave")
    pages[1].click("#leave")
    wait(pages[1], lambda: "erased" in pages[1].inner_text("#class-status"))


def test_pages_of_strangers_cannot_embed_a_class(context: BrowserContext, server: ClassServer, platform: FakePlatform) -> None:
    assert "frame-ancestors 'none'" in get(f"{server.url}/join").headers["content-security-policy"]
    register(server, platform)
    deadline = time.monotonic() + 30
    while f"frame-ancestors {platform.url}" not in get(f"{server.url}/join").headers["content-security-policy"]:
        assert time.monotonic() < deadline  # origins are remembered for some seconds
        time.sleep(0.5)
    for path in ("/join", "/teach", "/new", "/"):
        policy = get(f"{server.url}{path}").headers["content-security-policy"]
        assert policy.endswith(f"frame-ancestors {platform.url}")
        assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in get(f"{server.url}/health").headers["content-security-policy"]
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{server.url}/health")
    with serving(FakePlatform(tool=server.url).app()) as stranger:
        page.goto(f"{stranger}/keys")
        page.set_content(f'<iframe src="{server.url}/join#x"></iframe>')
        wait(page, lambda: any("frame-ancestors" in each for each in refused))


def test_other_origins_may_post_to_lti_only(server: ClassServer, platform: FakePlatform) -> None:
    register(server, platform, UNIVERSITY)
    visitor = Visitor(platform, server)
    state, nonce = visitor.log_in()
    token = platform.sign(platform.claims(nonce, TEACHER))
    headers = {"Origin": platform.url}
    answer = post(f"{server.url}/lti/launch", data={"id_token": token, "state": state}, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/teach#")
    assert httpx2.post(f"{server.url}/api/classes", headers=headers, content=b"{}").status_code == 403
    token = answer.headers["location"].partition("#")[2]
    shown = get(f"{server.url}/api/class", headers={"Authorization": f"Bearer {token}"}).json()
    assert "happy" not in str(shown)  # the institution's declaration permits no expressions
    assert code_of(visitor.post("x", state)) == "token-malformed"


def test_launches_are_counted_and_name_nobody(server: ClassServer, platform: FakePlatform) -> None:
    register(server, platform)
    visitor = Visitor(platform, server)
    visitor.launch(TEACHER)
    for _ in range(2):
        visitor.launch()
    visitor.launch(aud="another tool")
    shown = get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {OPERATOR}"}).text
    for line in (
        'lti_launches_total{role="learner"} 2',
        'lti_launches_total{role="teacher"} 1',
        'lti_refused_total{request="launch",code="audience"} 1',
    ):
        assert f"mien_class_{line}\n" in shown
    for word in ("user-31", "Ada", "course-9", "link-5", platform.url, server.tool.platforms.all()[0].id):
        assert word not in shown
