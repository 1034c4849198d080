"""How fast the page reads in Chromium: milliseconds a frame by stage, the first result, and bytes of a first visit.

The worker of the built page reads the demo's portrait as it moves across 640 x 480 pixels, frame after frame. Prints a
table and one JSON line. Needs Chromium, the built page (make page) and YuNet's file (mien doctor --fetch).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2

PROGRAM = """async ([picture, count]) => {
  const settings = await (await fetch('settings.json')).json();
  const assets = [...document.querySelectorAll('script[src]')];
  const learner = await (await fetch(assets[0].src)).text();
  const find = (name) => '/assets/' + learner.match(name)[0];
  const [worker, runtime] = [find(/worker-[0-9a-f]+\\.js/), find(/runtime-[0-9a-f]+\\.wasm/)];
  const image = await createImageBitmap(await (await fetch(picture)).blob());
  const began = performance.now();
  const reader = new Worker(worker, { type: 'module' });
  const files = { wasm: runtime, detector: settings.detector, model: settings.model };
  reader.postMessage({ kind: 'open', files, ticks: false });
  const stages = [];
  let first = 0;
  await new Promise((done, failed) => {
    const send = () => {
      const n = stages.length;
      const canvas = new OffscreenCanvas(640, 480);
      canvas.getContext('2d').drawImage(image, 40 * Math.sin(n / 15), 0);
      const frame = canvas.transferToImageBitmap();
      reader.postMessage({ kind: 'frame', index: n, t_s: n / 15, interval_s: 1 / 15, image: frame }, [frame]);
    };
    reader.onmessage = ({ data }) => {
      if (data.kind === 'failed' || data.kind === 'skipped') return failed(new Error(data.reason));
      if (data.kind === 'result') {
        first ||= performance.now() - began;
        stages.push({ ...data.stages, faces: data.result.faces.length });
      }
      if (stages.length < count) send(); else done();
    };
  });
  const bytes = performance.getEntriesByType('resource').reduce((sum, each) => sum + each.encodedBodySize, 0);
  return { stages, first, bytes };
}"""


def portrait() -> str:
    """Return the demo's portrait on 640 x 480 pixels as a data URL."""
    import base64

    from skimage.data import astronaut

    image = cv2.copyMakeBorder(cv2.cvtColor(astronaut()[:480], cv2.COLOR_RGB2BGR), 0, 0, 64, 64, cv2.BORDER_REPLICATE)
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()


def measure(chromium: str, model: str, frames: int) -> dict[str, Any]:
    """Return the stages of all frames, the first result in ms, and the bytes that were loaded."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mien", "web", "--no-browser", "--port", str(port), "--model", model]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_context(bypass_csp=True).new_page()  # for the portrait's data URL
            page.goto(url)
            found: dict[str, Any] = page.evaluate(PROGRAM, [portrait(), frames])
            browser.close()
            return found
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="path of Chromium")
    parser.add_argument("--models", nargs="+", default=["mien-xs", "mien-s"])
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    if not Path(options.chromium).is_file():
        sys.exit(f"no Chromium at {options.chromium}; name one with --chromium")
    results: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    print(f"{'':24}{'median ms':>10}{'p95 ms':>10}")
    for model in options.models:
        found = measure(options.chromium, model, options.frames)
        stages = found["stages"][5:]
        assert all(each["faces"] == 1 for each in stages)
        results[model] = {"first_result_ms": round(found["first"]), "bytes": found["bytes"]}
        for name in ("pixels_ms", "detector_ms", "model_ms", "total_ms"):
            values = sorted(each[name] for each in stages)
            median, p95 = statistics.median(values), values[int(0.95 * len(values))]
            results[model][name] = [round(median, 2), round(p95, 2)]
            print(f"{model + ' ' + name[:-3]:24}{median:10.2f}{p95:10.2f}")
        print(f"{model + ' first result':24}{found['first']:10.0f}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
