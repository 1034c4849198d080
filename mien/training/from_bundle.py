"""From a bundle back to networks that can learn on.

Export folds each batch normalisation into the convolution before it. Here the folded weights
are taken back, and each normalisation is made anew from what its channels do on real faces:
filters of a length that gives every channel the variance 1, scale and shift such that nothing
changes. So the networks answer as the bundle does, and go on training as if they had never
been exported: a filter left as short as folding made it would be moved too far by every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.training.checkpoint import load_checkpoint, save_checkpoint
from mien.training.export import logits_of
from mien.training.network import FaceNet
from mien.vision.predictor import Predictor

MAX_GAP: Final = 5e-3
"""Largest difference allowed between the bundle's probabilities and the networks': weights of 16 bits cost most of it."""
PART: Final = 0.2
_STILL: Final = 1e-3
"""A channel that varies less than this on real faces is taken to vary this much."""
_FOLDED: Final = "networks.{}."
_MOST_NETWORKS: Final = 16


def networks_of(bundle: Path, faces: NDArray[np.uint8]) -> list[FaceNet]:
    """Return the networks of a bundle, one or a committee, ready to learn on.

    Args:
        bundle: the ONNX file, in fp32 or fp16.
        faces: (N, 48, 48) uint8 of Training, some thousands, on which the normalisations are measured.

    Raises:
        BundleError: the bundle is broken, of another architecture, or in int8.
    """
    card = Predictor(bundle).card
    if card.precision == "int8":
        raise BundleError(f"{bundle} computes in integers and cannot learn on. Name the fp32 bundle it was made from with --from")
    weights = {item.name: numpy_helper.to_array(item).astype(np.float32) for item in onnx.load(bundle).graph.initializer}
    networks = []
    for number in range(_MOST_NETWORKS):
        prefix = _FOLDED.format(number)
        own = {name.removeprefix(prefix).removesuffix("_half"): w for name, w in weights.items() if name.startswith(prefix)}
        if not own:
            break
        networks.append(_network(own, bundle))
    heads = [w for w in weights.values() if w.ndim == 4 and w.shape[0] == len(EMOTIONS) and w.shape[2:] == (1, 1)]
    if not networks or len(heads) != len(networks):
        raise BundleError(f"{bundle} was not made by this version's exporter. Name a checkpoint's bundle, or train anew")
    for network, head in zip(networks, heads, strict=True):
        if head.shape[1] != network.head.in_features:
            raise BundleError(f"{bundle} was not made by this version's exporter: a head of {head.shape[1]} inputs")
        network.head.weight.data = torch.from_numpy(head[:, :, 0, 0].copy())
        _normalise(network, faces)
    _check(networks, bundle, faces[:256])
    return networks


def part_way(start: FaceNet, run: Path) -> Path:
    """Write the checkpoint a fifth of the way from where a network began to where its run ended, and return the file.

    Between the two lies what neither has: on PublicTest nearly all of what learning new faces cost comes back, on the
    new faces a good part of what it gained stays (WiSE-FT: Wortsman et al. 2022, arXiv:2109.01903).
    """
    state = load_checkpoint(run / "last.pt")
    begun = start.state_dict()
    state["ema"] = {
        name: torch.lerp(begun[name], value, PART) if value.is_floating_point() else value for name, value in state["ema"].items()
    }
    save_checkpoint(run / "part_way.pt", state)
    return run / "part_way.pt"


def _network(own: dict[str, NDArray[np.float32]], bundle: Path) -> FaceNet:
    """Return a network with a bundle's folded weights: normalisations add the folded bias and do nothing else."""
    try:
        stages: list[tuple[int, int]] = []
        for block in range(sum(name.endswith("conv1.weight") for name in own)):
            width = own[f"blocks.{block}.conv1.weight"].shape[0]
            if stages and f"blocks.{block}.shortcut.1.weight" not in own:
                stages[-1] = stages[-1][0], stages[-1][1] + 1
            else:
                stages.append((width, 1))
        network = FaceNet(widths=tuple(width for width, _ in stages), blocks=tuple(count for _, count in stages)).eval()
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = torch.from_numpy(own[f"{name}.weight"].copy())
                norm = _norm_after(network, name)
                norm.weight.data.fill_((1 + norm.eps) ** 0.5)
                norm.bias.data = torch.from_numpy(own[f"{name}.weight_bias"].copy())
            elif isinstance(layer, nn.Linear):
                layer.bias.data = torch.from_numpy(own[f"{name}.bias"].copy())
                if name != "head":
                    layer.weight.data = torch.from_numpy(own[f"{name}.weight"].copy())
    except (KeyError, RuntimeError, ValueError) as error:
        raise BundleError(f"{bundle} was not made by this version's exporter ({type(error).__name__}: {error})") from error
    return network


def _norm_after(network: FaceNet, conv: str) -> nn.BatchNorm2d:
    """Return the normalisation that follows a convolution, by the convolution's name."""
    *path, last = conv.split(".")
    norm = f"norm{last[-1]}" if last.startswith("conv") else str(int(last) + 1)
    found = network.get_submodule(".".join([*path, norm]))
    assert isinstance(found, nn.BatchNorm2d)
    return found


@torch.no_grad()
def _normalise(network: FaceNet, faces: NDArray[np.uint8]) -> None:
    """Give each channel the variance 1 on real faces, and undo that and its mean by scale and shift."""
    convs = {_norm_after(network, name): layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    sums = {norm: [torch.zeros(norm.num_features, dtype=torch.float64) for _ in range(2)] for norm in convs}
    seen = dict.fromkeys(convs, 0)

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        values = inputs[0].double()
        sums[norm][0] += values.sum((0, 2, 3))
        sums[norm][1] += (values * values).sum((0, 2, 3))
        seen[norm] += values.numel() // norm.num_features

    hooks = [norm.register_forward_pre_hook(measure) for norm in convs]
    for part in torch.split(torch.from_numpy(faces)[:, None], 256):
        network(part)
    for hook in hooks:
        hook.remove()
    for norm, conv in convs.items():
        mean = sums[norm][0] / seen[norm]
        deviation = (sums[norm][1] / seen[norm] - mean * mean).clamp(min=_STILL**2).sqrt()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        conv.weight.data = (conv.weight.double() / deviation[:, None, None, None]).float()
        norm.running_mean.copy_(mean / deviation)
        norm.running_var.fill_(1)
        norm.weight.data = (deviation * (1 + norm.eps) ** 0.5).float()
        norm.bias.data = (norm.bias.double() + mean).float()


def _check(networks: Sequence[FaceNet], bundle: Path, faces: NDArray[np.uint8]) -> None:
    """Refuse networks that do not answer as their bundle does."""
    predictor = Predictor(bundle)
    logits = logits_of(networks, faces) / predictor.card.temperature
    exact = np.exp(logits - logits.max(1, keepdims=True))
    exact /= exact.sum(1, keepdims=True)
    gap = float(np.abs(exact - predictor.predict(faces[:, None]).probabilities).max())
    if gap > MAX_GAP:
        raise BundleError(f"the networks in {bundle} answer differently from it, by up to {gap:.2g}: it cannot learn on")
