"""Comparison of Mien with its peers on the same images and clips, on this machine, in one run.

Each peer is installed into its own environment (``--envs``, kept for later runs). In each round, every peer
takes a turn in a fresh process: time from the start to the first result, the clips frame by frame, and a share
of the images, as crops and with its own face detection. With votes, predictions are scored against the raters'
majority and also against FER2013's labels; without votes, against the labels alone. A peer that cannot be
installed, crashes or hangs gets a row with the reason. The first run downloads the peers (gigabytes); nothing
else here uses the network.

    python benchmarks/peers/race.py --data data/fer2013.zip --clips FOLDER --split PublicTest --envs FOLDER
        [--votes data/ferplus_votes.csv]
        [--peers mien,fer,human,face-api,face-api-tiny] [--images 0] [--canvases 1200] [--rounds 3] [--cores 2]
        [--out docs/results] [--resume]
    python benchmarks/peers/race.py --table docs/results/DATE-race.json

Prints a table; the last line is JSON. ``--out`` receives both, with the machine and all versions. Prefer
PublicTest: a comparison on PrivateTest is recorded in the log of its scorings. ``--table`` prints the table of
an earlier comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from environments import EnvironmentFailure, prepare
from material import clip_files, sample
from peers import ABSENT, PEERS
from rounds import Course, Entry, run
from scores import against, agreement, numbers
from table import full_page, markdown_table, terminal_table

from mien.cli.progress import new_progress
from mien.data.dataset import FaceDataset
from mien.data.reader import read_dataset
from mien.data.votes import Votes, read_votes
from mien.errors import DataError, MienError, UsageError
from mien.evaluation.private_log import log_scoring
from mien.files import file_hash, write_json, write_text
from mien.limits import worker_count
from mien.modelcard import PEOPLE
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path

_SAME_RACE: Final = ("split", "images", "canvases", "rounds", "clips", "dataset_hash")
"""Values that must match before a turn of an earlier run is reused."""


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def entries_and_rows(names: list[str], envs: Path) -> tuple[list[Entry], dict[str, dict[str, Any]]]:
    """Return the installed peers, and the initial rows of all peers by name."""
    entries, rows = [], {}
    for peer in (peer for peer in PEERS if peer.name in names):
        row: dict[str, Any] = {"version": "", "notes": [], "failure": "", "versions": {}}
        try:
            environment = prepare(peer, envs, say)
        except EnvironmentFailure as failure:
            row["failure"] = f"cannot be installed: {failure}"
        else:
            row |= {"version": environment.version, "versions": environment.versions}
            row["notes"].append(environment.note)
            entries.append(Entry(peer.name, environment))
        rows[peer.name] = row
    return entries, rows


def race(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a comparison and return its document."""
    names = chosen(arguments.peers)
    if arguments.rounds < 1 or arguments.cores < 1 or arguments.images < 0 or arguments.canvases < 0:
        raise UsageError("--rounds and --cores must be 1 or more, --images and --canvases 0 (all) or more")
    cores = use_cores(arguments.cores)
    envs: Path = arguments.envs.resolve()
    envs.mkdir(parents=True, exist_ok=True)
    dataset = read_dataset(arguments.data).dataset
    images = sample(dataset.split(arguments.split), arguments.images)
    canvases = min(arguments.canvases or len(images), len(images))
    votes = read_votes(arguments.votes, images) if arguments.votes else None
    if arguments.split == "PrivateTest" and votes is None:
        raise UsageError("Mien's people head is compared here, so PrivateTest needs the raters' votes. Pass --votes")
    if canvases < arguments.rounds:
        raise UsageError(f"{canvases} images cannot be shared among {arguments.rounds} rounds. Use more images or fewer --rounds")
    course = Course(clip_files(arguments.clips, envs / "clips"), images.images, arguments.rounds, canvases)
    entries, rows = entries_and_rows(names, envs)
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": command_line(arguments),
        "split": arguments.split,
        "images": len(images),
        "canvases": canvases,
        "rounds": arguments.rounds,
        "clips": sorted(course.clips),
        "dataset_hash": dataset.content_hash(),
        "truth": "people" if votes else "fer2013",
    }
    work = envs / "work" / sha256(repr([facts[key] for key in _SAME_RACE]).encode()).hexdigest()[:12]
    if not arguments.resume:
        shutil.rmtree(work, ignore_errors=True)
    load_before = os.getloadavg()[0]
    with new_progress() as bar:
        task = bar.add_task("")

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        found = run(entries, course, work, say, progress)
    for entry in entries:
        fill(rows[entry.name], found[entry.name], found.get("mien"), images, votes, entry, rows.get("mien"))
    rows |= {name: {"version": "", "notes": [], "failure": reason, "versions": {}} for name, reason in ABSENT.items()}
    if arguments.split == "PrivateTest" and rows.get("mien", {}).get("numbers"):
        log_once(work, arguments.out, {PEOPLE: rows["mien"]["numbers"]}, facts["dataset_hash"])
    return {
        "race": facts,
        "machine": machine(cores) | {"load_before": load_before, "load_after": os.getloadavg()[0]},
        "peers": rows,
    }


def fill(
    row: dict[str, Any],
    found: dict[str, Any],
    ours: dict[str, Any] | None,
    images: FaceDataset,
    votes: Votes | None,
    entry: Entry,
    our_row: dict[str, Any] | None,
) -> None:
    """Fill in the row of a peer, with ratios if Mien completed."""
    if found["failure"]:
        row["failure"] = found["failure"]
        return
    truth = images.labels if votes is None else votes.majority
    row["numbers"] = numbers(found["turns"], truth, entry.environment.size_mb)
    row["labels"] = agreement(found["turns"], images.labels)
    row["notes"].append(found["turns"][0]["about"]["note"])
    if ours is not None and not ours["failure"] and our_row is not None and row is not our_row:
        row["against"] = against(found["turns"], ours["turns"], truth, row["numbers"], our_row["numbers"])


def log_once(work: Path, out: Path, truths: dict[str, Any], dataset_hash: str) -> None:
    """Log the scoring of PrivateTest, unless this comparison did so before it was resumed."""
    done = work / "logged"
    if not done.exists():
        scored = {"model": DEFAULT_BUNDLE, "dataset_hash": dataset_hash, "truths": truths}
        say(log_scoring(out, file_hash(bundle_path(DEFAULT_BUNDLE)), scored).strip())
        write_text(done, "")


def command_line(arguments: argparse.Namespace) -> str:
    """Return the command for another machine: file names without this machine's folders."""
    words = ["python", "benchmarks/peers/race.py"]
    for name in ("data", "clips", "envs", *(("votes",) if arguments.votes else ())):
        words += [f"--{name}", Path(getattr(arguments, name)).name]
    for name in ("split", "peers", "images", "canvases", "rounds", "cores"):
        words += [f"--{name}", str(getattr(arguments, name))]
    return shlex.join(words)


def chosen(text: str) -> list[str]:
    """Return the names in ``--peers``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [peer.name for peer in PEERS]
    for name in names:
        if name not in known:
            raise UsageError(
                f"no peer {name!r}; --peers takes {', '.join(known)}" + (f". {ABSENT[name]}" if name in ABSENT else "")
            )
    return names


def use_cores(count: int) -> int:
    """Restrict this process and all workers to ``count`` cores if the system supports it; return the number used."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    return worker_count()


def machine(cores: int) -> dict[str, Any]:
    """Return a description of the machine."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).is_file():
        cpu = next(
            (line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")), cpu
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"cpu": cpu, "cores": os.cpu_count(), "cores_used": cores, "memory_gb": memory, "system": platform.platform()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="FER2013 (folder, zip or CSV)")
    parser.add_argument("--clips", type=Path, help="folder with the two clips")
    parser.add_argument("--votes", type=Path, help="FER+ votes: score against the raters' majority first")
    parser.add_argument("--split", choices=("PublicTest", "PrivateTest"), default="PublicTest")
    parser.add_argument("--envs", type=Path, help="folder for the peers' environments (8 GB), kept for later runs")
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--images", type=int, default=0, help="number of images, drawn at random with a fixed seed (0: all)")
    parser.add_argument("--canvases", type=int, default=1200, help="number of images that are also run with detection (0: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--resume", action="store_true", help="resume: keep the finished turns of a stopped run")
    parser.add_argument("--table", type=Path, metavar="RESULT.json", help="print the table of an earlier comparison and exit")
    arguments = parser.parse_args()
    try:
        if arguments.table is not None:
            print(markdown_table(earlier(arguments.table)), end="")
            return 0
        missing = [f"--{name}" for name in ("data", "clips", "envs") if getattr(arguments, name) is None]
        if missing:
            raise UsageError(f"required: {', '.join(missing)}")
        document = race(arguments)
        place = arguments.out / f"{document['race']['date']}-race"
        write_json(place.with_suffix(".json"), document)
        write_text(place.with_suffix(".md"), full_page(document))
    except MienError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("stopped; finished turns are kept. Continue with --resume")
        return 130
    print(terminal_table(document))
    print(f"\nwritten: {place}.md, {place}.json")
    print(
        json.dumps(
            {name: {key: row.get(key) for key in ("numbers", "against", "failure")} for name, row in document["peers"].items()}
        )
    )
    return 0


def earlier(path: Path) -> dict[str, Any]:
    """Return the document of an earlier comparison."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not the JSON file of a comparison ({error})") from error
    return document


if __name__ == "__main__":
    sys.exit(main())
