"""What the network should answer for each training image: its label, softened, and what others say.

Others are the crowd, whose votes are known beforehand, and teachers, who look at the same
changed picture as the student (Beyer et al. 2022, arXiv:2106.05237).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien.data.dataset import FaceDataset
from mien.data.votes import Votes
from mien.emotions import EMOTIONS
from mien.training.network import FaceNet, placed
from mien.training.settings import TrainSettings

MIN_VOTES = 3
"""Votes for the seven classes below which the crowd has said nothing about the expression."""


def label_rows(dataset: FaceDataset, settings: TrainSettings, votes: Votes | None = None) -> NDArray[np.float32]:
    """Return (N, 7) float32 target distributions, each row summing to 1.

    Args:
        dataset: the images.
        settings: ``label_smoothing`` and ``votes_share`` are used.
        votes: the crowd's votes for the same images; None leaves the labels alone.
    """
    count = len(EMOTIONS)
    rows = np.eye(count, dtype=np.float64)[dataset.labels]
    if votes is not None and settings.votes_share > 0:
        voted = votes.counts[:, :count].astype(np.float64)
        total = voted.sum(1, keepdims=True)
        share = np.where(total >= MIN_VOTES, settings.votes_share, 0.0)
        rows = (1 - share) * rows + share * voted / np.maximum(total, 1)
    return (rows * (1 - settings.label_smoothing) + settings.label_smoothing / count).astype(np.float32)


class Teachers:
    """Trained networks whose mean answer a student learns.

    Args:
        networks: ready to answer.
        device: where to compute.
        mirror: whether each looks at the mirror image of a face too.
    """

    def __init__(self, networks: Sequence[FaceNet], device: torch.device, mirror: bool = False) -> None:
        self._networks = [placed(network, device).eval() for network in networks]
        self._mirror = mirror

    @torch.no_grad()
    def probabilities(self, faces: Tensor, temperature: float) -> Tensor:
        """Return (N, 7) float32: the mean of the teachers' softened answers to faces (N, 1, H, W)."""
        views = [faces, faces.flip(3)] if self._mirror else [faces]
        with torch.autocast(faces.device.type, torch.bfloat16):
            answers = [network(view)[0] for network in self._networks for view in views]
        return torch.stack([F.softmax(logits.float() / temperature, 1) for logits in answers]).mean(0)


def losses(logits: Tensor, rows: Tensor, taught: Tensor | None, settings: TrainSettings) -> Tensor:
    """Return (N,) losses in nats: cross-entropy to ``rows``, mixed with that to the teachers' answers.

    Args:
        logits: (N, 7) of the student.
        rows: (N, 7) target distributions.
        taught: (N, 7) softened answers of the teachers; None without teachers.
        settings: ``teacher_share`` and ``teacher_temperature`` are used.
    """
    own = -(rows * F.log_softmax(logits, 1)).sum(1)
    if taught is None:
        return own
    temperature, share = settings.teacher_temperature, settings.teacher_share
    # the square keeps the size of the gradient as the temperature rises (Hinton et al. 2015)
    agreement = F.kl_div(F.log_softmax(logits / temperature, 1), taught, reduction="none").sum(1) * temperature**2
    return (1 - share) * own + share * agreement
