"""A class of real Chromium pages: learners with a clip as camera, their teacher, and what each of them sees."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from build_web import build_pages
from classes import exactly, message
from fake_camera import chromium, clip_frames, write_y4m
from lrs_servers import free_port
from test_browser import missing

from mien.messaging.http import send
from mien.privacy.lesson_bins import LessonPlan
from mien.web.classroom.app import ClassApp, create_class_app
from mien.web.classroom.closing import Closer
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import LinkKind
from mien.web.classroom.messages import INTERVAL_S
from mien.web.classroom.participants import Participants
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import ClassRecord

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

PATIENCE_S = 600.0


class Running:
    """A class server with a socket, in a thread; numbers have no noise, so that a test knows what must be shown."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = ClassDatabase(f"sqlite:///{folder / 'classes.db'}")
        options = ClassSettings(url=self.url, **settings)
        self.participants = Participants(self.database, time.time)
        self.web: ClassApp = create_class_app(options, self.database, publish=exactly, tick_s=0.3)
        self._server = uvicorn.Server(
            uvicorn.Config(self.web.app, port=self.port, log_level="error", timeout_graceful_shutdown=2)
        )
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Running:
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self

    def join(self, record: ClassRecord) -> str:
        """Join as somebody whose page is not there; return the participant's token."""
        return self.participants.join(record, "notice")

    def __exit__(self, *_: object) -> None:
        self.web.app.state.stop()
        self._server.should_exit = True
        self._thread.join()
        self.database.close()


@pytest.fixture(scope="module")
def browser(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if (trouble := build_pages()) != "":
        missing(trouble)
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
    path = chromium()
    if path is None:
        missing("Chromium (Debian: apt-get install chromium)")
    clip = tmp_path_factory.mktemp("camera") / "camera.y4m"
    write_y4m(clip, clip_frames(shared / "media" / "neutral_smile_neutral.mp4", (160, 90), every=15), 2)
    fake = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, headless=True, args=["--no-sandbox", *fake])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []

    def make(url: str, width: int = 1280, height: int = 800, **more: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, permissions=["camera"], **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(url)
        return page

    yield make
    for context in contexts:
        context.close()


def until(page: Page, condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; pages go on meanwhile."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        page.wait_for_timeout(200)


def join(page: Page) -> None:
    """Join and start the camera."""
    page.click("#join")
    page.click("#start")


class Others:
    """Learners without pages, who send what a page sends.

    Args:
        server: the server.
        tokens: theirs, as participants.
    """

    def __init__(self, server: Running, tokens: list[str]) -> None:
        self._server, self._tokens = server, tokens
        self._started_s, self._rounds = time.monotonic(), 0

    def send_due(self) -> None:
        """Send the message of each interval that is over."""
        while time.monotonic() - self._started_s >= INTERVAL_S * (self._rounds + 1):
            self._rounds += 1
            body = json.dumps(message(self._rounds)).encode()
            for token in self._tokens:
                assert send("POST", f"{self._server.url}/api/messages", {"Authorization": f"Bearer {token}"}, body).status == 204


@pytest.mark.slow
@pytest.mark.timeout(1700)
def test_pages_join_the_band_appears_and_when_they_leave_there_are_too_few(
    here: Path, yunet: Path, open_page: Callable[..., Page]
) -> None:
    plan, people = LessonPlan(bin_s=30, bins=60, k=10), 12
    with Running(here) as server:
        opened = server.web.store.open_class("Algebra", plan=plan)
        learners = [open_page(f"{server.url}/join#{opened.join}", 360, 480)]
        for _ in range(2):  # windows of one browser: they share what it has loaded and compiled
            learners.append(learners[0].context.new_page())
            learners[-1].set_default_timeout(PATIENCE_S * 1000)
            learners[-1].goto(f"{server.url}/join#{opened.join}")
        for page in learners:
            until(page, lambda page=page: "300 bytes" in page.inner_text("#notice"), "the notice is not shown")
            join(page)
        teacher = open_page(f"{server.url}/teach#{opened.teach}")
        for page in learners:
            until(page, lambda page=page: page.evaluate("document.body.dataset.state === 'reading'"), "a page does not read")
        record = server.web.store.get(opened.class_id)
        assert record is not None
        others = Others(server, [server.join(record) for _ in range(people - len(learners))])
        teacher.click("#start")

        def shows(*coverage: str) -> bool:
            others.send_due()
            return teacher.inner_text("#coverage") in coverage

        # a slow machine measures some pages for less than half of a bin, but the band needs one of them
        enough = [f"{measured} of {people}" for measured in range(plan.k, people + 1)]
        until(teacher, lambda: shows(*enough), "no band")
        shares = teacher.evaluate("[...document.querySelectorAll('#shares .share')].map((each) => parseInt(each.textContent))")
        assert len(shares) == 7
        assert 97 <= sum(shares) <= 103
        assert teacher.locator("#timeline .spread").count() > 0
        sent = json.loads(learners[0].text_content("#message-last") or "")
        assert sent.keys() <= {"number", "measured_s", "facing_s", "expression_s"}
        assert 0 < sent["measured_s"] <= 12

        for page in learners:
            page.click("#leave")
            until(page, lambda page=page: "were erased" in page.inner_text("#class-status"), "a page cannot leave")
        until(teacher, lambda: shows("too few"), "three left, and the band is still there")
        assert "Fewer than 10" in teacher.inner_text("#coverage-note")
        assert teacher.inner_text("#facing") == "–"


def test_what_a_page_sends_is_what_it_shows_and_leaving_ends_it(here: Path, yunet: Path, open_page: Callable[..., Page]) -> None:
    with Running(here) as server:
        opened = server.web.store.open_class("Algebra", plan=LessonPlan(bin_s=30, bins=60))
        server.web.store.start(opened.class_id)
        page = open_page("about:blank")
        bodies: list[str] = []
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("request", lambda request: bodies.append(request.post_data or "") if request.url.endswith("/messages") else None)
        page.goto(f"{server.url}/join#{opened.join}")
        until(page, lambda: page.inner_text("#consent-title") == "Algebra", "the notice is not shown")
        assert bodies == []
        page.click("#decline")
        assert "nothing was sent" in page.inner_text("#consent-problem")
        colour = "getComputedStyle(document.querySelector('#consent-problem')).color"
        assert page.evaluate(colour) == page.evaluate("getComputedStyle(document.body).color")  # no error
        join(page)
        until(page, lambda: page.text_content("#message-last") != "nothing yet", "no message arrives")
        assert page.text_content("#message-last") in bodies
        assert opened.join not in "".join(requests)  # the token is in no address

        page.click("#signals button:nth-child(1)")
        assert json.loads(page.text_content("#message-next") or "")["signal"] == "lost"
        until(page, lambda: any('"signal":"lost"' in body for body in bodies), "the signal is not sent")
        assert "3 left" in page.inner_text("#signals-left")

        page.click("#pause")
        page.wait_for_timeout(500)
        count = len(bodies)
        page.wait_for_timeout(12_000)
        assert len(bodies) == count
        assert "paused" in (page.text_content("#message-next") or "")
        page.click("#pause")

        page.context.set_offline(True)
        until(page, lambda: "does not answer" in page.inner_text("#class-status"), "the page does not notice")
        page.context.set_offline(False)
        until(page, lambda: "arrived" in page.inner_text("#class-status"), "messages do not go on")

        page.click("#leave")
        until(page, lambda: "were erased" in page.inner_text("#class-status"), "leaving fails")
        assert page.inner_text("#signals-left") == ""
        with server.database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM class_participants").scalar() == 0
        count = len(bodies)
        page.wait_for_timeout(11_000)
        assert len(bodies) == count


def test_a_waiting_class_gives_signals_back_takes_no_files_and_can_be_left_while_the_server_is_away(
    here: Path, yunet: Path, open_page: Callable[..., Page]
) -> None:
    with Running(here) as server:
        opened = server.web.store.open_class("Algebra", plan=LessonPlan(bin_s=30, bins=60))
        page = open_page(f"{server.url}/join#{opened.join}")
        join(page)
        page.click("#signals button:nth-child(1)")
        assert "3 left" in page.inner_text("#signals-left")
        until(page, lambda: page.evaluate("document.body.dataset.state === 'reading'"), "the page does not read")
        drop = """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["no picture"], "somebody.png", { type: "image/png" }));
            return !document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }"""
        assert page.evaluate(drop)  # the browser does not open the file either
        page.wait_for_timeout(300)
        assert page.evaluate("document.body.dataset.state") == "reading"
        until(page, lambda: '"lost" was not counted' in page.inner_text("#signals-left"), "the signal is not given back")
        assert "4 left" in page.inner_text("#signals-left")
        assert page.is_enabled("#signals button:nth-child(1)")
        assert "has not started" in page.inner_text("#class-status")

        refusal = json.dumps({"error": "Too many messages in this interval."})
        page.route("**/api/messages", lambda route: route.fulfill(status=429, body=refusal))
        until(page, lambda: "not counted. Too many messages" in page.inner_text("#class-status"), "a refusal is not shown")

        asked: list[Route] = []
        page.route("**/api/participants", lambda route: asked.append(route))  # noqa: PLW0108  Playwright takes functions only
        page.click("#leave")
        until(page, lambda: len(asked) == 1, "the page does not leave")
        assert page.evaluate("document.querySelector('video').srcObject") is None  # before the server has answered
        assert "being erased" in page.inner_text("#class-status")
        asked[0].abort()
        until(page, lambda: len(asked) == 2, "the page does not ask again")
        asked[1].continue_()
        until(page, lambda: "were erased" in page.inner_text("#class-status"), "leaving fails")


def test_a_phone_shows_the_picture_first_and_whether_the_lesson_has_started(
    here: Path, yunet: Path, open_page: Callable[..., Page]
) -> None:
    with Running(here) as server:
        opened = server.web.store.open_class("Algebra", plan=LessonPlan(bin_s=30, bins=60))
        page = open_page("about:blank", 390, 844)
        page.clock.install()
        page.goto(f"{server.url}/join#{opened.join}")
        page.click("#join")
        page.wait_for_selector("#signals button")
        tops = [page.locator(name).bounding_box() for name in ("#stage", "#signals", "#classroom details", "#leave")]
        heights = [box["y"] for box in tops if box is not None]
        assert len(heights) == 4
        assert heights == sorted(heights)
        assert page.is_hidden("#message-next")
        page.click("#classroom summary")
        assert page.is_visible("#message-next")
        assert page.inner_text("#class-status") == "The lesson has not started."
        server.web.store.start(opened.class_id)
        page.clock.fast_forward(16_000)
        until(
            page, lambda: page.inner_text("#class-status") == "Nothing has been sent yet.", "the page does not learn of the start"
        )

        def send() -> None:
            page.click("#signals button:nth-child(1)")
            page.clock.fast_forward(11_000)

        with server.database.writing() as connection:  # as if the person had left from a page that was closed
            connection.exec_driver_sql("DELETE FROM class_participants")
        send()
        until(page, lambda: page.inner_text("#class-status").startswith("You have left this class."), "it does not say why")
        page.reload()
        page.click("#join")
        page.wait_for_selector("#signals button")
        Closer(server.database, time.time, exactly).end(opened.class_id)
        send()
        over = "The lesson is over. Nothing is sent any more."
        until(page, lambda: page.inner_text("#class-status") == over, "the page does not say that the lesson is over")
        for name in ("#signals", "#signals-left", "#leave"):
            assert page.is_hidden(name)


def test_an_invalid_link_shows_nothing_but_what_is_wrong(here: Path, yunet: Path, open_page: Callable[..., Page]) -> None:
    with Running(here) as server:
        page = open_page(f"{server.url}/join#wrong")
        until(page, lambda: "This link is not valid" in page.inner_text("#problem"), "the error is not shown")
        for name in ("#start", "#welcome", "#controls", "#panel", "#help"):
            assert page.is_hidden(name)
        page.goto(f"{server.url}/new#wrong")
        until(page, lambda: "This link is not valid" in page.inner_text("#problem"), "the error is not shown")
        assert page.is_hidden("#new-form")


BIN: dict[str, Any] = {
    "state": "published",
    "people": 20,
    "measured": 18,
    "facing": 0.9,
    "facing_error": 0.2,
    "expressions": [0.02, 0.0, 0.05, 0.4, 0.45, 0.05, 0.03],
    "error": 0.2,
    "signals": [2, 0, 14],
    "signal_error": 8,
}
"""An interval of a small class: most of its numbers are smaller than their errors."""


def test_a_teacher_sees_what_noise_hides_and_a_chart_of_the_windows_width(
    here: Path, yunet: Path, open_page: Callable[..., Page]
) -> None:
    def fill(route: Route) -> None:
        shown = route.fetch().json()
        shown["timeline"] = [BIN | {"number": k, "from_s": 300 * k, "to_s": 300 * k + 300} for k in range(3)]
        shown["lesson"] = BIN | {"number": 0, "published": 3, "signals": [3, 1, 12], "signal_error": 4}
        route.fulfill(json=shown)

    with Running(here) as server:
        opened = server.web.store.open_class("Algebra", plan=LessonPlan(bin_s=300, bins=12))
        server.web.store.start(opened.class_id)
        page = open_page("about:blank", 390, 844)
        page.route("**/api/class?mean=*", fill)
        page.goto(f"{server.url}/teach#{opened.teach}")
        page.wait_for_selector("#timeline svg")
        said = "[...document.querySelectorAll('#signals .faint')].map((each) => each.textContent)"
        assert page.evaluate(said) == ["2", "0"]
        assert page.inner_text("#signals-note") == "± 8 people. Grey: too small to tell from noise."
        assert page.locator("#shares .faint").count() == 5
        assert page.locator("#facing.faint").count() == 0
        noise = LessonPlan(bin_s=300, bins=12).noise
        assert f"random noise (standard deviation {noise:.1f} people)" in page.inner_text("#rules")
        assert " · next numbers in " in page.inner_text(".head")

        where = "document.querySelector('#timeline line.now').getAttribute('x1')"
        before = page.evaluate(where)
        until(page, lambda: page.evaluate(where) != before, "the line of the current time stands still")

        for width in (390, 800, 1400):
            page.set_viewport_size({"width": width, "height": 844})
            drawn = "document.querySelector('svg').viewBox.baseVal.width === document.querySelector('#timeline').clientWidth"
            until(page, lambda drawn=drawn: bool(page.evaluate(drawn)), "the chart is not drawn again")
            chart, plot = (page.locator(name).first.bounding_box() for name in ("#timeline svg", "#timeline .ground"))
            assert chart is not None
            assert plot is not None
            assert chart["x"] + chart["width"] <= width
            texts = page.evaluate(
                "[...document.querySelectorAll('#timeline text')].map((each) => [each.getAttribute('class'), each.textContent,"
                " each.getBoundingClientRect().left, each.getBoundingClientRect().right])"
            )
            for kind, text, left, right in texts:
                assert chart["x"] - 1 <= left <= right <= chart["x"] + chart["width"] + 1, text
                assert kind != "scale" or right < plot["x"]
            times = [text for kind, text, *_ in texts if kind.startswith("tick")]
            assert len(times) >= 4
            assert times[-1] == "1:00:00"
            assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('.row-name')).fontSize)") >= 12

        assert page.inner_text("#collapse") == "Hide details"
        page.click("#collapse")
        assert page.inner_text("#collapse") == "Show details"
        assert page.is_hidden("#timeline")
        page.click("#end")
        page.click("#sure-yes")
        until(page, lambda: page.inner_text("#state") == "over", "the lesson does not end")
        assert page.inner_text("#now-title") == "The whole lesson: means of all its intervals"
        assert page.evaluate("document.querySelector('#now-title').clientHeight") > 10
        assert page.inner_text("#signals-note").startswith("per interval on average, ± 4 people")
        page.unroute_all(behavior="ignoreErrors")


def test_a_teacher_opens_runs_and_looks_back_at_a_class(here: Path, yunet: Path, open_page: Callable[..., Page]) -> None:
    with Running(here) as server:
        page = open_page(f"{server.url}/new#{server.web.store.issue(LinkKind.OPEN)}")
        until(page, lambda: "points" in page.inner_text("#new-noise"), "the form does not say how exact numbers are")
        page.fill("#new-title", "Algebra")
        page.click("#new-form button")
        until(page, lambda: page.inner_text("#title") == "Algebra", "the class is not opened")
        note = "Numbers appear after each interval of 5 minutes in which at least 10 people seem to take part;"
        assert note in page.inner_text("#waits")
        assert page.input_value("#waits-url").startswith(f"{server.url}/join#")
        assert page.evaluate("document.querySelector('#waits-qr').naturalWidth") > 100
        assert "This link works on this computer only." in page.inner_text("#waits")
        assert page.is_hidden("#shares")
        page.click("#share")
        assert page.input_value("#join-url").startswith(f"{server.url}/join#")
        assert page.evaluate("document.querySelector('#qr').naturalWidth") > 100
        page.click("#renew")
        until(page, lambda: "1 earlier link no longer works" in page.inner_text("#toast"), "the link is not replaced")
        link = "[document.querySelector('#join-url').value, document.querySelector('#qr').src]"
        renewed = page.evaluate(link)
        page.reload()
        until(page, lambda: page.inner_text("#title") == "Algebra", "the class is not shown again")
        page.click("#share")
        assert page.evaluate(link) == renewed
        page.click("#share-dialog form button")
        mine = page.url
        page.goto(f"{server.url}/teach#{server.web.store.open_class('Biology').teach}")
        until(page, lambda: page.inner_text("#title") == "Biology", "the other class is not shown")
        page.click("#share")
        page.wait_for_selector("#share-dialog[open]")
        assert not set(page.evaluate(link)) & set(renewed)
        page.goto(mine)
        until(page, lambda: page.inner_text("#title") == "Algebra", "the class is not shown again")
        page.click("#start")
        until(page, lambda: page.inner_text("#state") == "live", "the lesson does not start")
        assert page.is_hidden("#waits")
        assert page.is_hidden("#next")
        page.fill("#mark-text", "slide 12")
        page.click("#mark-form button")
        until(page, lambda: "slide 12" in page.inner_text("#marks"), "the mark is not shown")
        page.click("#timeline svg", position={"x": 400, "y": 80})
        page.fill("#note-text", "too fast")
        page.click("#note-form button")
        until(page, lambda: "too fast" in page.inner_text("#marks"), "the note is not shown")
        with page.expect_download() as download:
            page.click("#csv")
        assert Path(download.value.path()).read_text(encoding="utf-8").startswith("from_s,to_s,state,people")
        page.click("#end")
        page.click("#sure-yes")
        until(page, lambda: page.inner_text("#state") == "over", "the lesson does not end")

        refusal = json.dumps({"error": "The lesson is not over. End it first."})
        page.route("**/api/class/next", lambda route: route.fulfill(status=409, body=refusal))
        page.click("#next")
        until(page, lambda: page.inner_text("#toast") == "The lesson is not over. End it first.", "the refusal is not shown")

        held: list[Route] = []
        page.route("**/api/class?mean=3", lambda route: held.append(route))  # noqa: PLW0108  Playwright takes functions only
        page.select_option("#mean", "3")
        until(page, lambda: len(held) == 1, "the page does not ask for means of three")
        page.click("#erase")
        page.click("#sure-yes")
        until(page, lambda: "erased" in page.inner_text("#problem"), "the class is not erased")
        held[0].continue_()  # its answer is that the link is not valid: no news to a page that has said why
        page.wait_for_timeout(500)
        assert "erased" in page.inner_text("#problem")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1400, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_are_accessible(
    width: int, height: int, scheme: str, here: Path, yunet: Path, open_page: Callable[..., Page]
) -> None:
    from conftest import REPOSITORY

    axe = (REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with Running(here) as server:
        opened = server.web.store.open_class("Algebra")
        server.web.store.start(opened.class_id)
        record = server.web.store.get(opened.class_id)
        assert record is not None
        server.web.store.add_mark(record, "mark", "slide 12")
        waiting = server.web.store.open_class("Biology")
        for path in (
            f"join#{opened.join}",
            f"teach#{opened.teach}",
            f"teach#{waiting.teach}",
            f"new#{server.web.store.issue(LinkKind.OPEN)}",
        ):
            page = open_page(f"{server.url}/{path}", width, height, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
            page.wait_for_timeout(1500)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.evaluate(axe)
            found = page.evaluate("axe.run()")
            assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found["violations"]] == []
