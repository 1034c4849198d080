"""Training targets and losses of each head: labels or votes, and the soft targets of teachers.

Teachers get the same augmented faces as the student (Beyer et al. 2022, arXiv:2106.05237).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.training.network import FaceNet, autocast, placed
from mien.training.settings import TrainSettings


def smoothed_labels(dataset: FaceDataset, settings: TrainSettings) -> NDArray[np.float32]:
    """Return (N, 7) float32 targets of the label head: the one-hot labels, smoothed by ``settings.label_smoothing``."""
    count = len(EMOTIONS)
    targets = np.eye(count, dtype=np.float64)[dataset.labels]
    return (targets * (1 - settings.label_smoothing) + settings.label_smoothing / count).astype(np.float32)


class TeacherOutputs(NamedTuple):
    """Mean soft targets of teachers; None for a head that no teacher has.

    Attributes:
        people: (N, 8) float32.
        labels: (N, 7) float32.
    """

    people: Tensor | None
    labels: Tensor | None


class Teachers:
    """Trained networks to distil; their predictions are averaged per head.

    Args:
        networks: the teachers.
        device: the device to compute on.
        mirror: whether to average over a face and its mirror image.
    """

    def __init__(self, networks: Sequence[FaceNet], device: torch.device, mirror: bool = False) -> None:
        self._networks = [placed(network, device).eval() for network in networks]
        self._mirror = mirror

    @torch.no_grad()
    def probabilities(self, faces: Tensor, temperature: float) -> TeacherOutputs:
        """Return the teachers' mean probabilities at ``temperature`` for faces (N, 1, H, W), 0 to 255."""
        views = [faces, faces.flip(3)] if self._mirror else [faces]
        with autocast(faces.device):
            outputs = [network(view) for network in self._networks for view in views]

        def mean(all_logits: list[Tensor | None]) -> Tensor | None:
            softened = [F.softmax(logits.float() / temperature, 1) for logits in all_logits if logits is not None]
            return torch.stack(softened).mean(0) if softened else None

        return TeacherOutputs(mean([output.people for output in outputs]), mean([output.labels for output in outputs]))


def head_losses(logits: Tensor, targets: Tensor, soft_targets: Tensor | None, settings: TrainSettings) -> Tensor:
    """Return (N,) losses of one head in nats: cross-entropy to ``targets``, mixed with the distillation loss.

    Args:
        logits: (N, K) logits of the student.
        targets: (N, K) target distributions.
        soft_targets: (N, K) probabilities of the teachers at ``settings.teacher_temperature``; None without teachers.
        settings: ``teacher_share`` and ``teacher_temperature`` are used.
    """
    own = -(targets * F.log_softmax(logits, 1)).sum(1)
    if soft_targets is None:
        return own
    temperature, share = settings.teacher_temperature, settings.teacher_share
    # the square keeps the scale of the gradients independent of the temperature (Hinton et al. 2015)
    agreement = F.kl_div(F.log_softmax(logits / temperature, 1), soft_targets, reduction="none").sum(1) * temperature**2
    return (1 - share) * own + share * agreement
