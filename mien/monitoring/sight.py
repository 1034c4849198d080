"""How much of a face a monitor is given: a deployment may permit no expressions, a stored session holds no picture."""

from __future__ import annotations

from typing import Final, Literal

Sight = Literal["all", "answers", "picture"]
"""all: embedding, answers and picture; answers: what the model said, and nothing else (stored sessions);
picture: light, sharpness, size and pose, where no model may read the face."""

DETECTORS_OF: Final[dict[Sight, tuple[str, ...]]] = {
    "all": ("embedding", "components", "quality", "confidence", "expressions"),
    "answers": ("confidence", "expressions"),
    "picture": ("quality",),
}
"""Which detectors can work, in the order of ``make_detectors``."""
