"""Trainable networks, rebuilt from a bundle.

Export folds each batch normalisation into the preceding convolution. Here the folded weights are
loaded and each normalisation is rebuilt from the statistics of its channels on real faces: filters
are rescaled so that every channel has variance 1, and scale and shift compensate for it. The
networks give the same outputs as the bundle and train as if they had never been exported. Without
the rescaling, every optimiser step would move the folded filters too far.
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

from mien import metrics
from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.modelcard import PEOPLE
from mien.training.checkpoint import load_checkpoint, save_checkpoint
from mien.training.export import logits_of
from mien.training.network import PEOPLE_CLASSES, FaceNet
from mien.vision.model_file import read_model
from mien.vision.predictor import Predictor

MAX_GAP: Final = 5e-3
"""Largest allowed difference between the probabilities of bundle and networks; mostly due to 16-bit weights."""
MAX_LOGIT_GAP: Final = 5e-2
"""Largest allowed difference of the people head's logits."""
INTERPOLATION: Final = 0.2
"""Share of the fine-tuned weights in ``interpolate_weights``."""
_MIN_STD: Final = 1e-3
"""Lower bound of a channel's standard deviation on real faces."""
_PREFIX: Final = "networks.{}."
_MAX_NETWORKS: Final = 16


def networks_of(bundle: Path, faces: NDArray[np.uint8]) -> list[FaceNet]:
    """Return the networks of a bundle (one, or several of an ensemble), ready for fine-tuning.

    Args:
        bundle: the ONNX file, fp32 or fp16.
        faces: (N, 48, 48) uint8, some thousands from Training, to estimate the batch statistics.

    Raises:
        BundleError: the bundle is broken, has a different architecture, or is int8.
    """
    card = Predictor(bundle).card
    if card.precision == "int8":
        raise BundleError(f"{bundle} is quantised to int8 and cannot be fine-tuned. Pass its fp32 bundle with --model")
    graph = onnx.load_from_string(read_model(bundle)).graph
    weights = {item.name: numpy_helper.to_array(item).astype(np.float32) for item in graph.initializer}
    classes = PEOPLE_CLASSES if PEOPLE in card.heads else len(EMOTIONS)
    networks = []
    for number in range(_MAX_NETWORKS):
        prefix = _PREFIX.format(number)
        own = {name.removeprefix(prefix).removesuffix("_half"): w for name, w in weights.items() if name.startswith(prefix)}
        if not own:
            break
        networks.append(_network(own, card.heads, bundle))
    heads = [
        w for name, w in weights.items()
        if w.ndim == 4 and w.shape[0] == classes and w.shape[2:] == (1, 1) and not name.startswith("networks.")
    ]  # fmt: skip
    if not networks or len(heads) != len(networks):
        raise BundleError(f"{bundle} was not exported by this version. Use a bundle made by mien export, or train again")
    for network, weight in zip(networks, heads, strict=True):
        head = network.people or network.labels
        assert head is not None
        if weight.shape[1] != head.in_features:
            raise BundleError(f"{bundle} was not exported by this version: a head has {weight.shape[1]} inputs")
        head.weight.data = torch.from_numpy(weight[:, :, 0, 0].copy())
        _normalise(network, faces)
    _check(networks, bundle, faces[:256])
    return networks


def interpolate_weights(start: FaceNet, run: Path) -> Path:
    """Interpolate between the initial and the fine-tuned weights; write the checkpoint and return its path.

    The result keeps a good part of the gain on new faces and recovers nearly all of the loss on PublicTest (WiSE-FT,
    Wortsman et al. 2022, arXiv:2109.01903).

    Args:
        start: the network before fine-tuning.
        run: folder of the run, which contains ``last.pt``.

    Raises:
        DataError: there is no ``last.pt``.
        BundleError: it is broken.
    """
    state = load_checkpoint(run / "last.pt")
    initial = start.state_dict()
    state["ema"] = {
        name: torch.lerp(initial[name], value, INTERPOLATION) if value.is_floating_point() else value
        for name, value in state["ema"].items()
    }
    save_checkpoint(run / "part_way.pt", state)
    return run / "part_way.pt"


def _network(own: dict[str, NDArray[np.float32]], heads: Sequence[str], bundle: Path) -> FaceNet:
    """Return a network with a bundle's folded weights; normalisations only add the folded bias."""
    try:
        stages: list[tuple[int, int]] = []
        for block in range(sum(name.startswith("blocks.") and name.endswith("conv1.weight") for name in own)):
            width = own[f"blocks.{block}.conv1.weight"].shape[0]
            if stages and f"blocks.{block}.shortcut.1.weight" not in own:
                stages[-1] = stages[-1][0], stages[-1][1] + 1
            else:
                stages.append((width, 1))
        widths, blocks = tuple(width for width, _ in stages), tuple(count for _, count in stages)
        own_stage = any(name.startswith("label_stage.") for name in own)
        network = FaceNet(widths=widths, blocks=blocks, heads=heads, own_label_stage=own_stage).eval()
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = torch.from_numpy(own[f"{name}.weight"].copy())
                norm = _norm_after(network, name)
                norm.weight.data.fill_((1 + norm.eps) ** 0.5)
                norm.bias.data = torch.from_numpy(own[f"{name}.weight_bias"].copy())
            elif isinstance(layer, nn.Linear):
                older = "head" if name == "labels" and "head.bias" in own else name  # "head" in bundles of version 0.1
                layer.bias.data = torch.from_numpy(own[f"{older}.bias"].copy())
                if f"{older}.weight" in own:  # the first head's weight is stored with the activation maps
                    layer.weight.data = torch.from_numpy(own[f"{name}.weight"].copy())
    except (KeyError, RuntimeError, ValueError) as error:
        raise BundleError(f"{bundle} was not exported by this version ({type(error).__name__}: {error})") from error
    return network


def _norm_after(network: FaceNet, conv: str) -> nn.BatchNorm2d:
    """Return the batch normalisation that follows the convolution named ``conv``."""
    *path, last = conv.split(".")
    norm = f"norm{last[-1]}" if last.startswith("conv") else str(int(last) + 1)
    found = network.get_submodule(".".join([*path, norm]))
    assert isinstance(found, nn.BatchNorm2d)
    return found


@torch.no_grad()
def _normalise(network: FaceNet, faces: NDArray[np.uint8]) -> None:
    """Rescale each channel to variance 1 on ``faces`` and compensate for it, and for its mean, by scale and shift."""
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
        deviation = (sums[norm][1] / seen[norm] - mean * mean).clamp(min=_MIN_STD**2).sqrt()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        conv.weight.data = (conv.weight.double() / deviation[:, None, None, None]).float()
        norm.running_mean.copy_(mean / deviation)
        norm.running_var.fill_(1)
        norm.weight.data = (deviation * (1 + norm.eps) ** 0.5).float()
        norm.bias.data = (norm.bias.double() + mean).float()


def _check(networks: Sequence[FaceNet], bundle: Path, faces: NDArray[np.uint8]) -> None:
    """Raise BundleError if the networks' outputs differ from the bundle's."""
    predictor = Predictor(bundle)
    card, logits = predictor.card, logits_of(networks, faces)
    if logits.labels is not None:
        temperature = card.fer2013_temperature or card.temperature
        gap = float(np.abs(metrics.softmax(logits.labels / temperature) - predictor.predict_fer2013(faces[:, None])).max())
        if gap > MAX_GAP:
            raise BundleError(f"{bundle} cannot be fine-tuned: the rebuilt networks differ from it by {gap:.2g}")
    if logits.people is not None:
        maps = predictor.explain(faces[:, None])[1].mean((2, 3))
        difference = logits.people[:, :-1] / card.temperature - maps  # includes the logit adjustment, equal for all faces
        gap = float(np.abs(difference - difference.mean(0)).max())
        if gap > MAX_LOGIT_GAP:
            raise BundleError(f"{bundle} cannot be fine-tuned: the rebuilt networks differ from it by {gap:.2g}")
