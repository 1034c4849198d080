"""The learner's page in a real Chromium, with the clips as its camera: what it shows, what it sends, what stops it."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import cv2
import numpy as np
import pytest
from build_web import build_pages, npm_command
from conftest import REPOSITORY
from fake_camera import chromium, clip_frames, running_page, write_lossless, write_y4m
from golden_engine import write_network_answers
from lrs_servers import assert_valid, free_port

from mien.emotions import EMOTIONS
from mien.messaging.xapi import ACCOUNTS, EXTENSIONS
from mien.session import Session
from mien.settings import LiveSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

WEB = REPOSITORY / "web"
MODEL = "mien-xs"
PATIENCE_S = 900.0
"""A busy machine is no fault."""
CAMERA_FPS = 5


def missing(what: str) -> NoReturn:
    """Skip, or fail where everything is required."""
    if os.environ.get("MIEN_REQUIRE_SHARED"):
        pytest.fail(f"MIEN_REQUIRE_SHARED is set and there is no {what}")
    pytest.skip(f"there is no {what}")


@pytest.fixture(scope="module")
def built() -> None:
    """The page, built as the wheel builds it."""
    if (trouble := build_pages()) != "":
        missing(trouble)


@pytest.fixture(scope="module")
def camera_clip(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake camera shows: the clip at five frames a second, in a loop; grey, so that colours are no question."""
    path = tmp_path_factory.mktemp("camera") / "camera.y4m"
    frames = clip_frames(shared / "media" / "sad_to_happy.mp4", (640, 360), every=5)
    grey = (cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for image in frames)
    assert write_y4m(path, grey, CAMERA_FPS) > 90
    return path


@pytest.fixture(scope="module")
def lossless_clip(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, one after the other, with a cut between them; every decoder makes the same pixels of it."""
    path = tmp_path_factory.mktemp("lossless") / "two_people.webm"
    media = shared / "media"
    people = (clip_frames(media / "sad_to_happy.mp4", every=8), clip_frames(media / "neutral_smile_neutral.mp4", every=4))
    assert write_lossless(path, itertools.chain(*people), 4) > 70
    return path


@pytest.fixture(scope="module")
def browser(built: None, camera_clip: Path) -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
    path = chromium()
    if path is None:
        missing("Chromium (Debian: apt-get install chromium)")
    fake = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera_clip}"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, headless=True, args=["--no-sandbox", *fake])
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    with running_page(folder, "--model", MODEL, port=free_port()) as url:
        yield url, folder


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []

    def make(url: str, camera: bool = True, width: int = 800, height: int = 600, **more: Any) -> Page:
        permissions = ["camera"] if camera else []
        context = browser.new_context(viewport={"width": width, "height": height}, permissions=permissions, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(url)
        return page

    yield make
    for context in contexts:
        context.close()


def wait(page: Page, condition: str) -> Any:
    """Wait until an expression is true; Playwright's own way needs ``eval``, which the page forbids."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := page.evaluate(condition)):
        assert time.monotonic() < deadline, f"{condition} did not come true; status: {page.inner_text('#status')}"
        page.wait_for_timeout(100)
    return found


READING = "document.body.dataset.state === 'reading' && document.getElementById('elapsed').textContent !== '-'"


def start(page: Page) -> None:
    page.click("#start")
    wait(page, READING)


def saved(page: Page, button: str) -> str:
    """Return the text of the file that a button saves."""
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_text(encoding="utf-8")


def desktop(source: Path, out: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Return the rows and the summary of the desktop version."""
    summary = Session(LiveSettings(source=str(source), out=out, model=MODEL, view="none")).run()
    with (out / "observations.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle)), summary


def watched(open_page: Callable[..., Page], url: str) -> tuple[Page, list[str]]:
    """Return the page, reading the camera, and the addresses that it asks for, which grow."""
    page, requests = open_page("about:blank"), list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    start(page)
    return page, requests


def read_files(page: Page, *files: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Return the rows and the summary that the page makes of files."""
    wait(page, "document.querySelector('#problem').hidden")
    page.set_input_files("#file-input", files)
    page.wait_for_selector("#summary-dialog[open]")
    return list(csv.DictReader(saved(page, "#save-rows").splitlines())), json.loads(saved(page, "#save-summary"))


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["yunet", "mien-detect"])
def test_the_page_reads_what_the_desktop_reads(
    detector: str,
    lossless_clip: Path,
    shared: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_page: Callable[..., Page],
) -> None:
    models = str(shared / "models" if detector == "yunet" else here)
    monkeypatch.setenv("MIEN_MODELS", models)
    theirs, their_summary = desktop(lossless_clip, here / "out")
    with running_page(here, "--model", MODEL, port=free_port(), MIEN_MODELS=models) as url:
        ours, our_summary = read_files(open_page(url, camera=False), lossless_clip)
    assert our_summary["detector"] == their_summary["detector"] == detector
    assert our_summary["frames"] == their_summary["frames"]
    assert len(our_summary["tracks"]) == len(their_summary["tracks"]) >= 2  # the cut ends one
    assert [row["frame"] for row in ours] == [row["frame"] for row in theirs]
    both = list(zip(ours, theirs, strict=True))
    assert np.mean([one["label"] == other["label"] for one, other in both]) >= 0.97
    gaps = [max(abs(float(one[side]) - float(other[side])) for side in "xywh") for one, other in both]
    assert max(gaps) <= 3.0
    for name in EMOTIONS:
        assert abs(our_summary["distribution"][name] - their_summary["distribution"][name]) <= 0.02
    assert set(their_summary) - {"missing", "not_erased", "files", "states", "drift", "source_health"} <= set(our_summary)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["neutral_smile_neutral.mp4", "sad_to_happy.mp4", "no_face.mp4"])
def test_a_recording_is_read_as_on_the_desktop(
    clip: str, shared: Path, yunet: Path, here: Path, server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    theirs, their_summary = desktop(shared / "media" / clip, here / "out")
    ours, our_summary = read_files(open_page(server[0], camera=False), shared / "media" / clip)
    for name in ("frames", "faces_max", "frames_with_face"):
        assert our_summary[name] == their_summary[name]
    assert len(our_summary["tracks"]) == len(their_summary["tracks"])
    for name in EMOTIONS:
        assert abs(our_summary["distribution"][name] - their_summary["distribution"][name]) <= 0.02
    assert [row["frame"] for row in ours] == [row["frame"] for row in theirs]
    if not theirs:
        return
    assert list(ours[0]) == list(theirs[0])
    both = list(zip(ours, theirs, strict=True))
    assert np.mean([one["label"] == other["label"] for one, other in both]) >= 0.97
    assert max(abs(float(one["t_s"]) - float(other["t_s"])) for one, other in both) <= 0.002
    gaps_px = [max(abs(float(one[side]) - float(other[side])) for side in "xywh") for one, other in both]
    assert np.mean(np.array(gaps_px) <= 3.0) >= 0.95  # decoders differ by a grey level; seldom, another window follows


NOISE = 0.005
"""Limit for the difference of the boxes between pictures that look the same, in widths of a face (median)."""


def test_pictures_are_read_as_on_the_desktop(
    shared: Path, yunet: Path, here: Path, server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    picture = shared / "media" / "five_faces.jpg"
    theirs, _ = desktop(picture, here / "out")
    ours, _ = read_files(open_page(server[0], camera=False), picture)
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        assert max(abs(float(one[side]) - float(other[side])) for side in "xywh") <= 3.0
        assert (one["label"], one["unread"]) == (other["label"], other["unread"])


@pytest.mark.slow
def test_the_camera_is_read_as_on_the_desktop_and_nothing_leaves_the_page(
    camera_clip: Path, yunet: Path, here: Path, server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    page, requests = watched(open_page, server[0])
    wait(page, "document.getElementById('elapsed').textContent >= '0:05'")
    page.context.set_offline(True)  # the network is not needed any more
    before = page.inner_text("#elapsed")
    wait(page, f"document.getElementById('elapsed').textContent > '{before}' && document.body.dataset.state === 'reading'")
    wait(page, "document.getElementById('elapsed').textContent >= '0:15'")
    page.keyboard.press("q")
    page.wait_for_selector("#summary-dialog[open]")
    ours = list(csv.DictReader(saved(page, "#save-rows").splitlines()))
    summary = json.loads(saved(page, "#save-summary"))
    assert [url for url in requests if not url.startswith((server[0], "blob:"))] == []
    assert summary["captured"] >= summary["frames"] + summary["dropped"] - 1
    assert summary["faces_max"] == 1

    frames = here / "clip.avi"
    writer = cv2.VideoWriter(str(frames), cv2.VideoWriter.fourcc(*"FFV1"), CAMERA_FPS, (640, 360))
    for image in y4m_frames(camera_clip):
        writer.write(image)
    writer.release()
    theirs, _ = desktop(frames, here / "out")
    agreements, gaps = compared(ours, theirs)
    assert np.median(gaps) <= NOISE  # the page read other frames of the loop than the desktop
    assert np.mean(agreements) >= 0.97


def y4m_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a file of ``write_y4m`` as Chromium has them."""
    with path.open("rb") as handle:
        handle.readline()
        while handle.readline():
            yield cv2.cvtColor(np.frombuffer(handle.read(640 * 360 * 3 // 2), np.uint8).reshape(540, 640), cv2.COLOR_YUV2BGR_I420)


def compared(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> tuple[list[bool], list[float]]:
    """Return for each reading of the page whether the desktop's label is the same, and how many face widths the boxes are apart.

    The camera's loop began at some moment before the page's clock: the moment at which boxes fit best. Readings within
    0.6 s of a change of the label are left out, because smoothing depends on the frames that were read before.
    """
    place = lambda row: np.array([float(row[side]) for side in "xywh"])  # noqa: E731
    known = {int(row["frame"]): row for row in theirs}
    count = max(known) + 1
    boxes = np.array([place(known.get(k, theirs[0])) for k in range(count)])

    def gaps_at(began_s: float) -> list[tuple[int, float]]:
        found = []
        for row in ours:
            at = int((float(row["t_s"]) + began_s) * CAMERA_FPS)
            near = [(at + step) % count for step in (-1, 0, 1)]
            gap = [float(np.abs(boxes[k] - place(row)).max()) for k in near]
            found.append((near[int(np.argmin(gap))], min(gap)))
        return found

    best = min((gaps_at(began_s) for began_s in np.arange(0, count / CAMERA_FPS, 0.1)), key=lambda gaps: sum(g for _, g in gaps))
    agreements, gaps = [], []
    for row, (k, gap) in zip(ours, best, strict=True):
        around = {known[n % count]["label"] for n in range(k - 3, k + 4) if n % count in known}
        gaps.append(gap / float(row["w"]))
        if len(around) == 1 and float(row["t_s"]) > 1.0:
            agreements.append(row["label"] in around)
    assert len(agreements) >= 5
    return agreements, gaps


@pytest.mark.slow
def test_a_statement_for_ones_own_store_is_saved_and_sent_nowhere(
    server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    page, requests = watched(open_page, server[0])
    wait(page, "document.getElementById('elapsed').textContent >= '0:12'")
    page.keyboard.press("q")
    page.wait_for_selector("#summary-dialog[open]")
    summary = json.loads(saved(page, "#save-summary"))
    anonymous, again = (json.loads(saved(page, "#save-statement")) for _ in range(2))
    assert anonymous == again  # a store keeps it once
    assert_valid(anonymous)
    assert anonymous["actor"]["account"]["homePage"] == ACCOUNTS
    stated = anonymous["result"]["duration"].removeprefix("PT").removesuffix("S")
    assert float(stated) == pytest.approx(summary["duration_s"], abs=0.006)  # hundredths; the summary has thousandths
    assert anonymous["result"]["extensions"][f"{EXTENSIONS}/facing-share"] == pytest.approx(summary["facing_share"], abs=0.001)
    page.click("#summary-dialog summary")
    page.fill("#account-home", "https://lrs.example.org")
    page.click("#save-statement")  # a home page alone names nobody
    assert page.evaluate("document.activeElement.id") == "account-name"
    page.fill("#account-name", "learner-7")
    mine = json.loads(saved(page, "#save-statement"))
    assert mine["actor"]["account"] == {"homePage": "https://lrs.example.org", "name": "learner-7"}
    assert {**mine, "actor": None} == {**anonymous, "actor": None}
    assert [url for url in requests if not url.startswith((server[0], "blob:"))] == []


def test_a_picture_cannot_be_sent_anywhere_else(server: tuple[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(server[0])
    start(page)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    blocked = page.evaluate(
        """async () => {
            const seen = [];
            document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective));
            const canvas = document.createElement('canvas');
            canvas.getContext('2d').drawImage(document.querySelector('video'), 0, 0);
            const picture = canvas.toDataURL();
            const elsewhere = 'http://localhost:9/collect';
            const outcomes = [];
            outcomes.push(await fetch(elsewhere, { method: 'POST', body: picture }).then(() => 'sent', () => 'blocked'));
            outcomes.push(await new Promise((done) => {
                const image = new Image();
                image.onerror = () => done('blocked');
                image.onload = () => done('sent');
                image.src = elsewhere + '?' + picture.slice(0, 50);
            }));
            try { new WebSocket('ws://localhost:9/'); } catch { /* seen below */ }
            navigator.sendBeacon(elsewhere, picture);
            try { eval('1'); outcomes.push('ran'); } catch { outcomes.push('blocked'); }
            await new Promise((done) => setTimeout(done, 500));
            return { outcomes, seen };
        }"""
    )
    assert blocked["outcomes"] == ["blocked", "blocked", "blocked"]
    assert blocked["seen"].count("connect-src") >= 3
    assert "img-src" in blocked["seen"]


def test_a_camera_that_may_not_be_used_is_explained(server: tuple[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(server[0], camera=False)
    page.click("#start")
    page.wait_for_selector("#problem:not([hidden])")
    assert "may not use the camera" in page.inner_text("#problem")
    assert page.is_enabled("#start")  # and can be tried again
    assert page.is_disabled("#pause")


def test_a_page_whose_networks_cannot_be_loaded_releases_the_camera(
    server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    page = open_page("about:blank")
    held: list[Route] = []
    page.context.route("**/networks/*", lambda route: held.append(route))  # noqa: PLW0108  Playwright takes functions only
    page.goto(server[0])
    page.click("#start")
    wait(page, "document.querySelector('video').srcObject !== null")
    for route in held:
        route.abort()
    page.wait_for_selector("#problem:not([hidden])")
    assert "cannot be read on this page" in page.inner_text("#problem")
    assert "Reload" in page.inner_text("#problem")
    assert page.evaluate("document.querySelector('video').srcObject") is None
    for button in ("#start", "#files", "#stop"):
        assert page.is_disabled(button)


def test_a_camera_that_is_lost_comes_back(server: tuple[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(server[0])
    start(page)
    track = "document.querySelector('video').srcObject.getVideoTracks()[0]"
    page.evaluate(f"{track}.dispatchEvent(new Event('mute'))")
    wait(page, "document.body.dataset.state === 'trouble'")
    assert "sends no picture" in page.inner_text("#status")
    page.evaluate(f"{track}.dispatchEvent(new Event('unmute'))")
    wait(page, "document.body.dataset.state === 'reading'")
    page.evaluate(f"(() => {{ const track = {track}; track.stop(); track.dispatchEvent(new Event('ended')); }})()")
    wait(page, "document.body.dataset.state === 'trouble'")
    assert "disconnected" in page.inner_text("#status")
    assert page.evaluate("document.querySelector('video').srcObject") is None
    elapsed = page.inner_text("#elapsed")
    page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    wait(page, f"document.body.dataset.state === 'reading' && document.getElementById('elapsed').textContent > '{elapsed}'")


def test_a_page_that_was_frozen_was_not_measured_and_nobody_was_away(
    server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    page = open_page(server[0])
    start(page)
    wait(page, "document.getElementById('presence').textContent === '100%'")
    coverage = "parseInt(document.getElementById('coverage').textContent)"
    before = page.evaluate(coverage)
    browser = page.context.browser
    assert browser is not None
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    pages = [each["id"] for each in told["processInfo"] if each["type"] == "renderer"]
    for process in pages:  # as a computer that sleeps, or a browser that freezes its pages
        os.kill(process, signal.SIGSTOP)
    time.sleep(6)
    for process in pages:
        os.kill(process, signal.SIGCONT)
    wait(page, f"{coverage} < {before} && document.body.dataset.state === 'reading'")
    assert page.inner_text("#presence") == "100%"


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(360, 740, "light"), (390, 844, "dark"), (820, 1180, "light"), (1400, 900, "dark"), (3840, 2160, "light")],
)
def test_it_fits_and_is_accessible(
    width: int, height: int, scheme: str, server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    page = open_page(server[0], width=width, height=height, color_scheme=scheme, reduced_motion="reduce")
    axe = (WEB / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

    def check() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate(f"{axe}; 0")
        found = page.evaluate("axe.run().then((result) => result.violations.map((each) => [each.id, each.nodes[0].html]))")
        assert found == []

    wait(page, "document.querySelectorAll('#bars li').length === 7")
    check()
    assert page.locator("#start").bounding_box()["y"] < height
    start(page)
    check()
    box = page.locator("#stop").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= height  # in sight without scrolling
    page.click("#help")
    check()


def saved_picture(page: Page) -> Any:
    """Return the picture that the key s saves; right after a pause there is none yet, so it is pressed again."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    for _ in range(60):
        with suppress(PlaywrightTimeout):
            with page.expect_download(timeout=5_000) as download:
                page.keyboard.press("s")
            picture = cv2.imread(str(download.value.path()))
            assert picture is not None
            return picture
    raise AssertionError("no picture was saved")


def test_everything_can_be_done_with_the_keyboard(server: tuple[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(server[0])
    wait(page, "document.querySelectorAll('#bars li').length === 7")
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "start":
            break
    assert page.evaluate("document.activeElement.id") == "start"
    page.keyboard.press("Enter")
    wait(page, READING)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(" ")
    wait(page, "document.body.dataset.state === 'paused'")
    assert page.get_attribute("#pause", "aria-pressed") == "true"
    page.keyboard.press(" ")
    wait(page, "document.body.dataset.state === 'reading'")
    page.keyboard.press("h")
    page.wait_for_selector("#help-dialog[open]")
    page.keyboard.press("q")  # a key of the page does nothing behind a dialog
    assert page.evaluate("document.body.dataset.state") == "reading"
    page.keyboard.press("Escape")
    wait(page, "!document.getElementById('help-dialog').open")
    page.keyboard.press("r")
    wait(page, "document.getElementById('toast').textContent.includes('reset')")
    wait(page, "document.getElementById('spoken').textContent !== ''")
    assert saved_picture(page).shape == (360, 640, 3)
    page.keyboard.press("q")
    page.wait_for_selector("#summary-dialog[open]")
    tiles = page.evaluate("[...document.querySelectorAll('#summary-tiles div')].map((each) => each.textContent)")
    assert "duration" in tiles[0]
    assert re.fullmatch(r"\d+ frames? skipped\d+ readings?", tiles[1])
    assert re.fullmatch(r"face in view\d+% · one face", tiles[2])
    assert page.text_content("#status") == "stopped"
    assert page.text_content("#now-label") == page.text_content("#elapsed") == "-"
    assert set(page.evaluate("[...document.querySelectorAll('#bars .share')].map((each) => each.textContent)")) == {"0%"}


def test_the_whole_picture_is_in_view_in_every_window(server: tuple[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(server[0])
    start(page)
    for width, height in ((1400, 600), (1920, 700), (844, 390), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        stage = page.locator("#stage").bounding_box()
        assert stage is not None
        for name in ("#stage video", "#boxes"):
            box = page.locator(name).bounding_box()
            assert box is not None
            assert box == pytest.approx(stage, abs=1), (name, width, height)
        assert page.evaluate("getComputedStyle(document.querySelector('#stage video')).objectFit") == "contain"


def test_a_phone_follows_its_rotation(server: tuple[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(server[0], width=390, height=844)
    start(page)
    upright = page.evaluate("document.getElementById('boxes').width")
    page.set_viewport_size({"width": 844, "height": 390})
    wait(page, f"document.getElementById('boxes').width > {upright}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("#picture", "#stop", "#now-label"):  # all in sight without scrolling
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 390, name


@pytest.mark.slow
def test_half_an_hour_leaves_the_heap_as_it_was(
    shared: Path, tmp_path: Path, server: tuple[str, Path], open_page: Callable[..., Page]
) -> None:
    clip = tmp_path / "lesson.webm"
    faces = list(clip_frames(shared / "media" / "neutral_smile_neutral.mp4", (160, 90)))
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"VP80"), 0.5, (160, 90))
    assert writer.isOpened()
    for k in range(900):
        writer.write(faces[k % len(faces)])
    writer.release()
    page = open_page(server[0], camera=False, width=360, height=240)
    page.set_input_files("#file-input", clip)
    session = page.context.new_cdp_session(page)

    def heap_mb() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6

    progress = "document.getElementById('progress').value"
    wait(page, f"{progress} > 0.15")
    assert page.get_attribute("body", "data-state") == "reading"
    before = heap_mb()
    wait(page, f"{progress} > 0.95 || document.getElementById('summary-dialog').open")
    after = heap_mb()
    page.wait_for_selector("#summary-dialog[open]")
    summary = json.loads(saved(page, "#save-summary"))
    assert summary["frames"] == 900
    assert summary["duration_s"] == pytest.approx(1799, abs=2)
    assert after - before < 2.5


def test_a_kept_session_is_listed_with_the_others(
    browser: Browser, built: None, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    with running_page(tmp_path, "--keep", "--model", MODEL, port=free_port()) as url:
        page = open_page(url)
        assert "results/sessions" in page.inner_text("#what-kept")
        start(page)
        wait(page, "document.getElementById('elapsed').textContent >= '0:03'")
        page.keyboard.press("q")
        page.wait_for_selector("#summary-dialog[open]")
        assert "mien sessions list" in page.inner_text("#summary-kept")
        shown = json.loads(saved(page, "#save-summary"))
        (folder,) = (tmp_path / "results" / "sessions").glob("2*")
        kept = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        assert kept["frames"] == shown["frames"]
        assert kept["distribution"] == pytest.approx(shown["distribution"], abs=0.001)
        assert not any("landmark" in path.read_text(errors="ignore") for path in folder.glob("*.csv"))

        page.click("#summary-dialog form button")
        start(page)
        wait(page, "document.getElementById('elapsed').textContent >= '0:02'")
        held: list[Route] = []
        page.route("**/sessions/*", lambda route: held.append(route))  # noqa: PLW0108  Playwright takes functions only
        page.keyboard.press("w")
        page.keyboard.press("w")
        deadline = time.monotonic() + PATIENCE_S
        while not held:
            assert time.monotonic() < deadline, "the page does not erase"
            page.wait_for_timeout(50)
        assert page.evaluate("document.querySelector('video').srcObject") is None  # before the server has answered
        held[0].continue_()
        wait(page, "document.getElementById('toast').textContent.includes('has been erased')")
        assert list((tmp_path / "results" / "sessions").glob("2*")) == [folder]


def test_another_page_works_as_the_guide_says(
    yunet: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Callable[..., Page]
) -> None:
    npm = npm_command()
    if npm is None or not (WEB / "node_modules").is_dir():
        missing("npm, or web/node_modules (make page)")
    path = os.pathsep.join([str(Path(npm[0]).parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY), "MIEN_MODELS": str(shared / "models")}

    def run(*command: str, cwd: Path = tmp_path) -> str:
        answer = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    run(*npm, "run", "package", cwd=WEB)
    run(*npm, "pack", "./dist", "--pack-destination", str(tmp_path), cwd=WEB)
    (tarball,) = tmp_path.glob("*.tgz")
    guide = (REPOSITORY / "docs" / "how-to" / "embed.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(each).strip() for each in re.findall(r"^ +```\n(.*?)^ +```$", guide, re.MULTILINE | re.DOTALL)]
    unpack, write, serve = (block.replace("mien-learner-VERSION.tgz", tarball.name) for block in blocks)
    readme = (WEB / "package" / "README.md").read_text(encoding="utf-8")
    assert all(block in readme for block in blocks)
    run("bash", "-c", unpack)
    port = free_port()
    server = subprocess.Popen(
        [*serve.split(), str(port)], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        example = re.search(r"<http://localhost:8000/(.*?)>", guide)
        assert example is not None
        url = f"http://localhost:{port}/{example[1]}"
        page = open_page("about:blank")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
        page.goto(url)
        page.click("mien-learner button")  # there are no networks yet
        assert page.inner_text("mien-learner output") == "This page is not set up: the networks are missing."

        written = run("bash", "-c", write).splitlines()
        for path_of in (tmp_path / "mien" / "networks").iterdir():
            assert f"mien/networks/{path_of.name}  {path_of.stat().st_size:,} bytes" in written
        page.reload()
        wait_for = "document.querySelector('mien-learner').options !== null"
        while not page.evaluate(wait_for):
            page.wait_for_timeout(100)
        page.click("mien-learner button")
        while not re.match(rf"({'|'.join(EMOTIONS)})\b", page.inner_text("mien-learner output")):
            assert time.monotonic() < deadline, page.inner_text("mien-learner")
            page.wait_for_timeout(100)
    finally:
        server.terminate()
        server.wait()


def test_the_engines_units_pass(built: None, yunet: Path, tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="scikit-image has the astronaut's photograph")
    npm = npm_command()
    if npm is None or not (WEB / "node_modules").is_dir():
        missing("npm, or web/node_modules (make page)")
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(str(npm[0])).parent), os.environ.get("PATH", "")]),
        "NETWORK_ANSWERS": str(write_network_answers(tmp_path, yunet)),
    }
    for command in ("check", "test"):
        run = [*npm, "run", command]
        answer = subprocess.run(run, cwd=WEB, env=environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
