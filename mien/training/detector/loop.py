"""Training loop of the detector, on new scenes, earlier scenes and hard negatives.

Random numbers depend on the seed and the step, and scenes on their number, so a resumed run gives the same result as an
uninterrupted one. The learning rate is constant until ``decay_from`` and then falls to zero. Until then nothing depends on
the number of rounds, so a run may be resumed with another number.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from mien.documents import parse_json, record_from
from mien.errors import BundleError, DeviceError, UsageError
from mien.files import atomic_path, remove_half_written
from mien.training.checkpoint import read_state
from mien.training.detector.losses import cells, losses, targets_of
from mien.training.detector.network import DetectorNet
from mien.training.detector.scenes import Scene
from mien.training.detector.settings import DetectorSettings
from mien.training.detector.stock import Stock
from mien.training.stopping import stop_on_signal

CHECKPOINT: Final = "detector.pt"
_FORMAT: Final = "mien-detector-1"
_WARM_UP_STEPS: Final = 200
_REMEMBERED: Final = 1024
"""Number of hard negatives kept: scenes without faces and with a high loss."""
_PLAIN_KEYS: Final = ("settings", "facts", "rounds_done")
_KEYS: Final = (*_PLAIN_KEYS, "network", "average", "optimiser", "hard")
_SWAPPED: Final = (1, 0, 2, 4, 3)

OnRound = Callable[[int, float], None]
"""Called with the number of the finished round, from 1, and its mean loss."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """The facts of a checkpoint that a run is resumed or exported with."""

    dataset_hash: str
    backgrounds: str
    command: str


@dataclass(frozen=True, slots=True)
class _Schedule:
    """The setting of a checkpoint that a resumed run may change."""

    rounds: int


@dataclass(frozen=True, slots=True)
class _Plain:
    """Plain values of a checkpoint."""

    settings: _Schedule
    facts: _Facts
    rounds_done: int


@dataclass(frozen=True, slots=True)
class _Hard:
    """A scene without faces and its latest loss."""

    scene: Scene
    loss: float


class DetectorTrainer:
    """One training run, which can be resumed from its checkpoint.

    Args:
        settings: settings of the run.
        folder: folder of the checkpoint.
        facts: plain values stored in the checkpoint: data hash, backgrounds, command.
    """

    def __init__(self, settings: DetectorSettings, folder: Path, facts: dict[str, Any]) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self._path, self._facts = settings, folder / CHECKPOINT, facts
        self.network: DetectorNet = DetectorNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it
        decayed = [weight for weight in self.network.parameters() if weight.ndim > 1]
        others = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, settings.lr)
        self._average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.rounds_done = self._steps = 0
        self._hard: list[_Hard] = []
        self._places, self._strides = (torch.from_numpy(each) for each in cells())

    def resume(self) -> None:
        """Load the checkpoint.

        Raises:
            UsageError: there is no checkpoint, it has other settings or data, or it has another number of rounds and the
                learning rate has begun to fall.
            BundleError: the checkpoint is broken.
        """
        state = load_detector_checkpoint(self._path)
        ours = self.settings.as_dict()
        other = [key for key in ours if key != "rounds" and ours[key] != state["settings"].get(key)]
        if other:
            changes = "; ".join(f"{key} was {state['settings'].get(key)}, now {ours[key]}" for key in other)
            raise UsageError(f"cannot resume {self._path} with other settings ({changes}). Use the same, or another --out")
        self._check_rounds(int(state["settings"]["rounds"]), int(state["rounds_done"]))
        different = [key for key in ("dataset_hash", "backgrounds") if state["facts"].get(key) != self._facts.get(key)]
        if different:
            raise UsageError(f"cannot resume {self._path} on other {' and '.join(different)}. Use the same, or another --out")
        none = np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
        try:
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            averaged(state["average"])
            greys, hard = state["hard"]
            self._hard = [_Hard(Scene(grey.numpy(), *none), float(loss)) for grey, loss in zip(greys, hard, strict=True)]
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise BundleError(
                f"{self._path} is a checkpoint with wrong values ({type(error).__name__}). Train again, or use a copy"
            ) from error
        self._average, self.rounds_done = state["average"], state["rounds_done"]
        self._steps = self.rounds_done * self.settings.steps_a_round

    def _check_rounds(self, before: int, done: int) -> None:
        """Check that the learning rate of the rounds that are ``done`` does not depend on the number of rounds.

        Raises:
            UsageError: the number of rounds was ``before`` and is another one now, and the rate depends on it.
        """
        now = self.settings.rounds
        if now == before or now <= done:  # the same rates, or no round left
            return
        if done > self.settings.decay_from * min(now, before):
            raise UsageError(
                f"cannot resume {self._path} with {now} rounds: it was started with {before}, and after {done} rounds its "
                f"learning rate would jump. Use --rounds {before}, or another --out"
            )

    def run(self, stock: Stock, on_round: OnRound) -> None:
        """Train until the last round. Ctrl-C and SIGTERM stop at the next step; only finished rounds are saved.

        Raises:
            DeviceError: the loss is not finite.
            KeyboardInterrupt: a stop was requested.
        """
        first = max(0, self.rounds_done - self.settings.window)
        with stop_on_signal() as stop:
            window = [stock.round(number, stop) for number in range(first, self.rounds_done)]
            for number in range(self.rounds_done, self.settings.rounds):
                fresh = stock.round(number, stop)
                loss = 0.0
                for step in range(self.settings.steps_a_round):
                    if stop:
                        raise KeyboardInterrupt
                    loss += self._step(number, step, fresh, window)
                window = [*window, fresh][-self.settings.window :]
                self.rounds_done = number + 1
                self._save()
                on_round(self.rounds_done, loss / self.settings.steps_a_round)

    def _step(self, number: int, step: int, fresh: list[Scene], window: list[list[Scene]]) -> float:
        settings = self.settings
        done = number * settings.steps_a_round + step
        random = np.random.default_rng((settings.seed, done, 2))
        scenes = fresh[step * settings.fresh : (step + 1) * settings.fresh]
        earlier = window or [fresh]
        for _ in range(settings.again):
            which = earlier[int(random.integers(len(earlier)))]
            scenes = [*scenes, varied(random, which[int(random.integers(len(which)))])]
        known = min(settings.hard, len(self._hard))
        hard = sorted(int(k) for k in random.choice(len(self._hard), known, replace=False)) if known else []
        scenes += [self._hard[k].scene for k in hard]
        loss, by_scene = self._learn(scenes, self._rate(done))
        if not math.isfinite(loss):
            raise DeviceError(f"the loss is not finite in round {number + 1}; {self._path} contains the last valid state")
        self._remember(scenes, by_scene, hard)
        return loss

    def _learn(self, scenes: list[Scene], rate: float) -> tuple[float, list[float]]:
        """Take one optimiser step; return the loss and the score loss of each scene."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        grey = torch.from_numpy(np.stack([scene.grey for scene in scenes]))[:, None].float()
        answers = self.network.train()(grey.contiguous(memory_format=torch.channels_last))
        loss, by_scene = losses(answers, targets_of(scenes), self._places, self._strides)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self._optimiser.step()
        self._steps += 1
        kept_share = min(self.settings.average, (1 + self._steps) / (10 + self._steps))  # lower decay in the first steps
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                kept = self._average[name]
                if value.is_floating_point():
                    kept.lerp_(value, 1 - kept_share)
                else:
                    kept.copy_(value)
        return float(loss.detach()), by_scene.tolist()

    def _remember(self, scenes: list[Scene], by_scene: list[float], hard: list[int]) -> None:
        """Update the losses of the hard negatives in the batch, and keep those with the highest losses."""
        drawn = len(scenes) - len(hard)
        for k, loss in zip(hard, by_scene[drawn:], strict=True):
            self._hard[k] = _Hard(self._hard[k].scene, loss)
        new = [_Hard(s, loss) for s, loss in zip(scenes[: self.settings.fresh], by_scene, strict=False) if not len(s.scores)]
        self._hard = sorted(self._hard + new, key=lambda each: -each.loss)[:_REMEMBERED]

    def _rate(self, done: int) -> float:
        every = self.settings.rounds * self.settings.steps_a_round
        start = self.settings.decay_from * every
        falling = 1.0 if done < start else max(0.0, (every - done) / (every - start))
        return self.settings.lr * min(1.0, (done + 1) / _WARM_UP_STEPS) * falling

    def _save(self) -> None:
        hard = torch.from_numpy(np.stack([each.scene.grey for each in self._hard])) if self._hard else torch.zeros(0)
        state = {
            "format": _FORMAT,
            "settings": self.settings.as_dict(),
            "facts": self._facts,
            "network": self.network.state_dict(),
            "average": self._average,
            "optimiser": self._optimiser.state_dict(),
            "rounds_done": self.rounds_done,
            "hard": (hard, [each.loss for each in self._hard]),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        # left by a run that was killed; only one run at a time writes here
        remove_half_written(self._path)
        with atomic_path(self._path) as temporary:
            temporary.write_bytes(buffer.getbuffer())


def varied(random: np.random.Generator, scene: Scene) -> Scene:
    """Return a scene with random mirroring, contrast and brightness."""
    grey, boxes, landmarks = scene.grey, scene.boxes, scene.landmarks
    if random.random() < 0.5:
        side = grey.shape[1] - 1
        grey, boxes, landmarks = grey[:, ::-1], boxes.copy(), landmarks[:, list(_SWAPPED)].copy()
        boxes[:, 0] = side - boxes[:, 0] - boxes[:, 2]
        landmarks[:, :, 0] = side - landmarks[:, :, 0]
    table = (np.arange(256) - 128) * random.uniform(0.7, 1.3) + 128 + random.normal(0, 15)
    grey = np.clip(table, 0, 255).astype(np.uint8)[grey]
    return Scene(np.ascontiguousarray(grey), boxes, landmarks, scene.scores)


def load_detector_checkpoint(path: Path) -> dict[str, Any]:
    """Return the state saved in ``path``.

    Raises:
        UsageError: there is no such file.
        BundleError: the file is broken or not a detector checkpoint, or lacks values.
    """
    if not path.is_file():
        raise UsageError(f"there is no run to resume at {path}. Leave --resume out to start one")
    state = read_state(path, _FORMAT, "mien train-detector")
    missing = [key for key in _KEYS if key not in state]
    if missing:
        raise BundleError(f"{path} is a checkpoint without {', '.join(missing)}. Train again, or use a copy")
    try:
        plain: dict[str, Any] = parse_json(json.dumps({key: state[key] for key in _PLAIN_KEYS}, allow_nan=False))
        record_from(_Plain, plain, "the checkpoint")
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"{path} is a checkpoint with wrong values ({error}). Train again, or use a copy") from error
    return state | plain


def averaged(state: dict[str, Tensor]) -> DetectorNet:
    """Return a network in evaluation mode with these weights.

    Raises:
        BundleError: the weights do not match the network.
    """
    network = DetectorNet()
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BundleError("the checkpoint does not match this version's network. Train again") from error
    return network.eval()
