"""Data lost when a session is killed: live sessions on the demo, killed at random times and recovered.

    python benchmarks/kills.py --kills 10

Prints one row per kill and one line of JSON at the end. ``late`` is the time between the last
saved reading and the kill: the readings in that time are lost.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mien.sessions.events import read_events
from mien.sessions.layout import EVENTS_NAME, PARTIAL_NAME
from mien.sessions.recovery import recover
from mien.summaries.views import write_views


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311  moments, not secrets
    late, harmed = [], 0
    print(f"{'kill':>4} {'ran':>7} {'readings':>9} {'late':>9} {'opened in':>10}")
    for number in range(1, arguments.kills + 1):
        with tempfile.TemporaryDirectory() as place:
            out = Path(place) / "out"
            command = [
                sys.executable,
                "-m",
                "mien",
                "live",
                "--source",
                "demo",
                "--headless",
                "--duration-s",
                "3600",
                "--out",
                str(out),
            ]
            run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            partial = out / PARTIAL_NAME
            while not partial.exists():
                if run.poll() is not None:
                    sys.exit("the live session ended by itself")
                time.sleep(0.01)
            began = time.monotonic()
            time.sleep(chance.uniform(0.2, 8))
            seen = partial.read_bytes()
            killed = time.time()
            run.send_signal(signal.SIGKILL)
            run.wait()
            ran = time.monotonic() - began
            late.append(max(0.0, killed - partial.stat().st_mtime))
            opening = time.monotonic()
            kept = recover(out, write_views)
            opened = time.monotonic() - opening
            saved = (out / "observations.csv").read_bytes()
            whole = saved.startswith(seen[: seen.rfind(b"\n") + 1]) and kept.session.frames_with_face == saved.count(b"\n") - 1
            harmed += not whole
            list(read_events(out / EVENTS_NAME))
            print(f"{number:>4} {ran:6.1f}s {kept.session.readings:>9,} {1000 * late[-1]:6.0f} ms {opened:9.2f}s")
    print(json.dumps({"kills": arguments.kills, "harmed": harmed, "latest_ms": round(1000 * max(late), 1)}))


if __name__ == "__main__":
    main()
