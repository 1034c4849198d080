"""Mien and Human in one Chromium: the same pictures, in alternating rounds.

Human (@vladmandic/human, wasm backend, face detector and emotion only, no cache) is installed from the npm registry into a
temporary folder. Both are served by one server, compressed with gzip. Prints, for each, milliseconds a picture (median, 95th
percentile), the first result after the page is opened, bytes of a first visit, memory of the page's process, and labels
against Python's, and ends in one JSON line. The ratio is taken round by round, so that a busy machine slows both.

Needs Chromium, Node.js, the built npm package (make npm) and a network for the first run.
"""

from __future__ import annotations

import argparse
import gzip
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

REPOSITORY: Final = Path(__file__).resolve().parents[2]
HUMAN: Final = ("@vladmandic/human@3.3.6", "@tensorflow/tfjs-backend-wasm@4.22.0")
FPS: Final = 6.0
SHOWN: Final = {"human": "Human", "mien": "Mien"}
FILES: Final = {"human": ("human", "wasm"), "mien": ("mien", "networks")}
TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".wasm": "application/wasm"}


def install_human(folder: Path) -> Path:
    """Install Human into a folder unless it is there; return the folder of its packages."""
    if not (folder / "node_modules").is_dir():
        (folder / "package.json").write_text('{"private": true}')
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *HUMAN], cwd=folder, check=True)
    return folder / "node_modules"


def clip_pictures(clip: Path, count: int) -> list[np.ndarray]:
    """Return pictures (H, W, 3) uint8 BGR of a clip, six a second, at most ``count``."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        every = max(1, round(float(stream.average_rate or 24) / FPS))
        frames = (frame for k, frame in enumerate(container.decode(stream)) if k % every == 0)
        return [frame.to_ndarray(format="bgr24") for _, frame in zip(range(count), frames, strict=False)]


def python_labels(clips: list[list[np.ndarray]], model: str) -> list[str]:
    """Return the label that Mien in Python gives each picture."""
    from mien import Analyzer
    from mien.records import Frame

    labels = []
    with Analyzer(model) as analyzer:
        for pictures in clips:
            frames = [Frame(k, k / FPS, image, 1 / FPS) for k, image in enumerate(pictures)]
            for result in analyzer.stream(frames):
                labels.append(result.faces[0].label if result.faces else "")
    return labels


@contextmanager
def serving(roots: dict[str, Path]) -> Iterator[tuple[str, dict[str, int]]]:
    """Serve folders by the first part of the path, compressed; yield the address, and bytes sent by folder."""
    sent = dict.fromkeys(roots, 0)

    @cache
    def packed(path: Path) -> bytes:
        return gzip.compress(path.read_bytes(), 9)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            first, _, rest = self.path.split("?")[0].lstrip("/").partition("/")
            path = roots[first] / rest if first in roots and rest else roots[""] / first
            if not path.is_file():
                self.send_error(404)
                return
            is_picture = path.suffix == ".png"
            body = path.read_bytes() if is_picture else packed(path)
            self.send_response(200)
            self.send_header("Content-Type", TYPES.get(path.suffix, "application/octet-stream"))
            if not is_picture:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            sent[first if rest else ""] += len(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()


def renderers(session: Any) -> set[int]:
    """Return the processes of pages."""
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return {process["id"] for process in found if process["type"] == "renderer"}


def page_memory_mb(candidates: set[int]) -> float:
    """Return the memory that a page's process holds alone; candidates include empty processes that the browser keeps ready."""
    found = [0.0]
    for pid in candidates:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        lines = (line.split() for line in text.splitlines() if line.startswith(("Private_Clean", "Private_Dirty")))
        found.append(sum(int(parts[1]) for parts in lines) / 1024)
    return max(found)


def race(url: str, sent: dict[str, int], chromium: str, lengths: list[int], rounds: int) -> dict[str, Any]:
    """Return what was measured, by name."""
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {name: {"first_ms": [], "rounds": [], "labels": [], "stages": []} for name in SHOWN}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        session = browser.new_browser_cdp_session()
        for number in range(rounds + 1):
            for name in SHOWN:
                context = browser.new_context()  # an empty cache
                page = context.new_page()
                page.set_default_timeout(120_000)
                page.goto(f"{url}/{name}.html", wait_until="load")
                page.wait_for_function("window.isReady")
                first_ms = page.evaluate("window.first()")
                if number > 0:  # at the first visit the server still compresses
                    found[name]["first_ms"].append(first_ms)
                found[name]["bytes"] = sum(sent[part] for part in FILES[name])
                sent.update(dict.fromkeys(sent, 0))
                context.close()
        pages = {}
        for name in SHOWN:
            before = renderers(session)
            page = browser.new_context().new_page()
            page.set_default_timeout(600_000)
            page.goto(f"{url}/{name}.html")
            page.wait_for_function("window.isReady")
            page.evaluate("window.first()")
            pages[name] = page, renderers(session) - before
        for number in range(rounds):
            for name, (page, processes) in pages.items():
                times, labels, start = [], [], 0
                for length in lengths:
                    answers = page.evaluate(f"window.round({start}, {start + length}, {FPS})")
                    times += [answer["ms"] for answer in answers]
                    labels += [answer["label"] for answer in answers]
                    found[name]["stages"] += [answer["stages"] for answer in answers if answer["stages"]]
                    start += length
                found[name]["rounds"].append(times)
                found[name]["labels"] = labels
                if number == 0:
                    found[name]["memory_mb"] = [page_memory_mb(processes)]
                print(f"  round {number + 1} {SHOWN[name]:6} {statistics.median(times):6.1f} ms", file=sys.stderr)
        for name, (page, processes) in pages.items():
            page.wait_for_timeout(1000)
            found[name]["memory_mb"].append(page_memory_mb(processes))
        found["chromium"] = browser.version
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path, help="recordings with one face")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="path of Chromium")
    parser.add_argument("--human", type=Path, help="folder that keeps Human between runs")
    parser.add_argument("--model", default="mien-xs")
    parser.add_argument("--pictures", type=int, default=60, help="pictures of each clip, at most")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not (REPOSITORY / "web" / "dist" / "worker.js").is_file():
        sys.exit("the npm package is not built; build it with: make npm")
    clips = [clip_pictures(clip, options.pictures) for clip in options.clips]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "frames").mkdir()
        for k, image in enumerate(image for pictures in clips for image in pictures):
            cv2.imwrite(str(folder / "frames" / f"{k}.png"), image)
        command = [sys.executable, "-m", "mien.web.networks", str(folder / "networks"), options.model]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        kept = options.human or folder / "human"
        kept.mkdir(parents=True, exist_ok=True)
        packages = install_human(kept)
        roots = {
            "": Path(__file__).parent,
            "frames": folder / "frames",
            "networks": folder / "networks",
            "mien": REPOSITORY / "web" / "dist",
            "human": packages / "@vladmandic" / "human",
            "wasm": packages / "@tensorflow" / "tfjs-backend-wasm" / "dist",
        }
        detector = json.loads((folder / "networks" / "networks.json").read_text(encoding="utf-8"))["detector"]["name"]
        with serving(roots) as (url, sent):
            found = race(url, sent, options.chromium, [len(pictures) for pictures in clips], options.rounds)
    report(found, python_labels(clips, options.model), options.model, detector)


def report(found: dict[str, Any], expected: list[str], model: str, detector: str) -> None:
    """Print the table and the JSON line."""
    results: dict[str, Any] = {"model": model, "detector": detector, "chromium": found["chromium"], "pictures": len(expected)}
    results |= {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(f"{'':30}{'Human':>10}{'Mien':>10}")
    rows: dict[str, dict[str, float]] = {}
    for name in SHOWN:
        times = sorted(ms for each in found[name]["rounds"] for ms in each)
        rows[name] = {
            "ms a picture, median": statistics.median(times),
            "ms a picture, 95th percentile": times[int(0.95 * len(times))],
            "first result, ms (median)": statistics.median(found[name]["first_ms"]),
            "first visit, MB with gzip": found[name]["bytes"] / 1e6,
            "memory after a round, MB": found[name]["memory_mb"][0],
            "memory at the end, MB": found[name]["memory_mb"][1],
            "same label as Python, %": 100
            * float(np.mean([a == b for a, b in zip(found[name]["labels"], expected, strict=True)])),
        }
    for row in rows["mien"]:
        print(f"{row:30}{rows['human'][row]:10.1f}{rows['mien'][row]:10.1f}")
    ratios = [
        statistics.median(theirs) / statistics.median(ours)
        for theirs, ours in zip(found["human"]["rounds"], found["mien"]["rounds"], strict=True)
    ]
    firsts = [theirs / ours for theirs, ours in zip(found["human"]["first_ms"], found["mien"]["first_ms"], strict=True)]
    for what, each in (("a picture", ratios), ("the first result", firsts)):
        print(f"Human takes {statistics.median(each):.2f} times as long for {what} ({min(each):.2f} to {max(each):.2f})")
    stages = {
        name: round(statistics.median(stage[name] for stage in found["mien"]["stages"]), 2)
        for name in ("pixels_ms", "detector_ms", "model_ms", "total_ms")
    }
    print("Mien by stage, median:", ", ".join(f"{name[:-3]} {ms} ms" for name, ms in stages.items()))
    results |= {"human": rows["human"], "mien": rows["mien"], "ratios": ratios, "first_ratios": firsts, "stages": stages}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
