"""Fuzzer: thousands of damaged files of every kind that Mien reads.

    python benchmarks/fuzz/fuzz.py                                       # 10,000 inputs
    python benchmarks/fuzz/fuzz.py --inputs 300 --only summary.json      # some kinds

Each input is a valid file with some damage (``fuzz_mutations``), used as Mien's commands use it
(``fuzz_kinds``). It may be read, or refused with an error message. A fault is any other exception, more than
ten seconds of CPU time or two minutes of wall-clock time, more than 512 MiB of additional memory, or a crash
of the process. Each kind has its own process. The inputs depend only on the seed. The exit code is 1 if there
is a fault; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

LONGEST_S = 10.0
"""CPU time."""
WAIT_S = 120.0
"""Wall-clock time: an endless file takes no CPU time."""
MOST_MIB = 512
_ADDRESS_SPACE = 24 << 30
_WEIGHTS = {True: 1, False: 2}
_LIST = "list of kinds"


class TookTooLongError(BaseException):
    """Raised by the timer in the running code; not caught by ``except Exception``."""


def _stop(signum: int, frame: FrameType | None) -> None:
    raise TookTooLongError


def attempt(kind: Any, folder: Path) -> str:
    """Return ``read`` or ``refused`` for the result of a damaged file in ``folder``; a fault raises.

    Raises:
        Exception: an exception that is not Mien's own.
        TookTooLongError: it took too long.
    """
    from mien.errors import MienError

    before = [signal.signal(each, _stop) for each in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
    signal.setitimer(signal.ITIMER_REAL, WAIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.use(folder)
    except MienError as error:
        str(error).encode()  # the message can be printed
        return "refused"
    finally:
        for timer, which, handler in zip(
            (signal.ITIMER_PROF, signal.ITIMER_REAL), (signal.SIGPROF, signal.SIGALRM), before, strict=True
        ):
            signal.setitimer(timer, 0)
            signal.signal(which, handler)
    return "read"


def fuzz_kind(name: str, inputs: int, number: int, place: Path) -> dict[str, Any]:
    """Return the results for ``inputs`` damaged files of one kind: counts, and each fault once with its traceback."""
    from fuzz_kinds import KINDS
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    warnings.simplefilter("ignore")
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    kind = next(each for each in KINDS if each.name == name)
    template, current = place / "template", place / "current"
    template.mkdir()
    kind.make(template)
    assert attempt(kind, shutil.copytree(template, place / "valid", symlinks=True)) == "read", (
        f"{name}: the valid file is refused"
    )
    outcomes: Counter[str] = Counter()
    faults: dict[str, str] = {}

    @seed(number)
    @settings(max_examples=inputs, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def once(data: st.DataObject) -> None:
        shutil.rmtree(current, ignore_errors=True)
        shutil.copytree(template, current, symlinks=True)
        kind.damage(data.draw, current)
        shutil.rmtree(place / "last", ignore_errors=True)
        shutil.copytree(current, place / "last", symlinks=True, ignore=_pipes)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        try:
            outcomes[attempt(kind, current)] += 1
        except (Exception, TookTooLongError) as error:  # noqa: BLE001  whatever it is, it is what is looked for
            outcomes["fault"] += 1
            _note(faults, error, place)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
        if more > MOST_MIB:
            outcomes["fault"] += 1
            faults.setdefault("memory", f"{more:.0f} MiB more after {time.monotonic() - began:.1f} s")

    once()
    return {
        "inputs": outcomes.total(),
        **outcomes,
        "faults": faults,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_fifo()]


def _note(faults: dict[str, str], error: BaseException, place: Path) -> None:
    """Record a fault by the line that raised it, and keep the folder that caused it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/mien/" in frame.filename] or list(frames)
    key = f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    if key not in faults:
        faults[key] = f"{error}"[:300] + "\n" + "".join(traceback.format_list(frames[-6:]))
        keep = os.environ.get("MIEN_FUZZ_KEEP")
        if keep:
            shutil.copytree(
                place / "last", Path(keep) / key.replace("/", "_").replace(" ", "_"), symlinks=True, dirs_exist_ok=True
            )


def _in_a_process(name: str, inputs: int, number: int) -> dict[str, Any]:
    """Run ``fuzz_kind`` in its own process; a crash of the process is a fault too."""
    arguments = [sys.executable, __file__, "--child", name, "--inputs", str(inputs), "--seed", str(number)]
    try:
        answer = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60 + 4 * inputs)
    except subprocess.TimeoutExpired:
        return {"inputs": 0, "fault": 1, "faults": {"hang": "the process did not end"}}
    if answer.returncode:
        return {"inputs": 0, "fault": 1, "faults": {f"ended with {answer.returncode}": answer.stderr[-2000:]}}
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="total number; with --only, number per kind")
    parser.add_argument("--only", nargs="*", default=[], help="kinds, or parts of their names")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == _LIST:
        from fuzz_kinds import KINDS

        print(json.dumps([(kind.name, kind.slow) for kind in KINDS]))
        return 0
    if options.child:
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(fuzz_kind(options.child, options.inputs, options.seed, Path(place))))
        return 0
    # PyTorch and others are loaded by the processes that need them
    listing = subprocess.run([sys.executable, __file__, "--child", _LIST], capture_output=True, text=True, check=True)
    kinds = [
        (name, slow)
        for name, slow in json.loads(listing.stdout)
        if not options.only or any(part in name for part in options.only)
    ]
    share = options.inputs / sum(_WEIGHTS[slow] for _, slow in kinds)
    began, total, faulty = time.monotonic(), Counter[str](), 0
    print(f"{'kind':<26} {'inputs':>6} {'read':>6} {'refused':>7} {'faults':>6} {'MiB':>5} {'s':>6}")
    for name, slow in kinds:
        inputs = options.inputs if options.only else round(share * _WEIGHTS[slow] + 0.5)
        since = time.monotonic()
        found = _in_a_process(name, inputs, options.seed)
        counts = {key: found.get(key, 0) for key in ("inputs", "read", "refused", "fault")}
        total.update(counts)
        faulty += len(found["faults"])
        print(
            f"{name:<26} {counts['inputs']:>6} {counts['read']:>6} {counts['refused']:>7} {counts['fault']:>6} "
            f"{found.get('peak_mib', 0):>5} {time.monotonic() - since:>6.1f}",
            flush=True,
        )
        for key, said in found["faults"].items():
            print(f"  FAULT {key}: {said}", flush=True)
    print(json.dumps({"seed": options.seed, **total, "different_faults": faulty, "seconds": round(time.monotonic() - began, 1)}))
    return int(faulty > 0)


if __name__ == "__main__":
    sys.exit(main())
