"""Constants shared by the browser engine and Python, as one JSON document.

``web/engine/constants.json`` is the output of ``python -m mien.web.constants``. It is committed because wheels are built
without the packages that this module imports; a test compares it with the code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from mien import analytics, circumplex, emotions, preprocess, records
from mien.messaging import xapi
from mien.privacy.policy import NOT_PERMITTED
from mien.sessions import episodes, observations, tally
from mien.sources import recorded
from mien.version import VERSION
from mien.vision import appearance, detector, finder, legibility, own_detector, pose, smoother, tracker, yunet


def engine_constants() -> dict[str, Any]:
    """Return all constants of the engine as JSON-serializable values."""
    model = pose.head_model()
    return {
        "version": VERSION,
        "emotions": list(emotions.EMOTIONS),
        "colours": dict(emotions.COLOURS),
        "affect": {name: list(place) for name, place in circumplex.COORDINATES.items()},
        "facing": {"yaw_deg": records.FACING_YAW_DEG, "pitch_deg": records.FACING_PITCH_DEG},
        "longest_interval_s": records.LONGEST_INTERVAL_S,
        "not_permitted": NOT_PERMITTED,
        "crop": {
            "version": preprocess.PREPROCESS_VERSION,
            "size": preprocess.INPUT_SIZE,
            "canonical_landmarks": preprocess.CANONICAL_LANDMARKS.astype(np.float64).tolist(),
            "max_supersampling": preprocess._MAX_SUPERSAMPLING,
        },
        "detector": {
            "coarse_side": detector.COARSE_SIDE,
            "window": detector.WINDOW,
            "around": detector._WINDOW_SCALE,
            "sizes_per_octave": detector._SIZES_PER_OCTAVE,
            "places_per_side": detector._PLACES_PER_SIDE,
            "small_face": detector._SMALL_FACE,
            "larger_side": detector._LARGER_SIDE,
            "same_iou": detector._SAME_IOU,
            "yunet": {
                "max_side": _default(yunet.YuNetDetector.__init__, "max_side"),
                "min_score": yunet.YUNET_SCORE,
                "known_score": yunet.KNOWN_SCORE,
                "nms_iou": yunet.NMS_IOU,
                "most_faces": yunet.MOST_FACES,
                "strides": [8, 16, 32],
            },
            "mien-detect": {
                "max_side": _default(own_detector.OwnDetector.__init__, "max_side"),
                "min_score": own_detector.OWN_SCORE,
                "known_score": own_detector._KNOWN_SCORE,
                "least_score": own_detector.LEAST_SCORE,
                "same_iou": own_detector._SAME_IOU,
                "same_inside": own_detector._SAME_INSIDE,
                "agreeing_iou": own_detector._AGREEING_IOU,
                "most": own_detector._MOST,
                "seen_twice": own_detector._SEEN_TWICE,
                "large": own_detector._LARGE,
                "one_look": own_detector._ONE_LOOK,
            },
        },
        "finder": {
            "search_s": _default(finder.FaceFinder.__init__, "search_s"),
            "thorough_s": _default(finder.FaceFinder.__init__, "thorough_s"),
            "patience": _default(finder.FaceFinder.__init__, "patience"),
            "max_followed": finder.MAX_FOLLOWED,
            "min_iou": finder._MIN_IOU,
            "same_face_iou": finder._SAME_FACE_IOU,
            "still_s": finder._STILL_S,
            "still_levels": finder._STILL_LEVELS,
            "thumb": finder._THUMB,
        },
        "tracker": {
            "name_letters": tracker._LETTERS,
            "name_length": len(tracker.random_name(Random(0))),  # noqa: S311  only its length is used
            "motion_s": tracker._MOTION_S,
            "coasting_s": tracker._COASTING_S,
            "min_diou": _default(tracker.Tracker.__init__, "min_diou"),
            "forget_s": _default(tracker.Tracker.__init__, "forget_s"),
            "steps": tracker._STEPS,
            "likeness": list(tracker._LIKENESS),
        },
        "appearance": {
            "side": appearance._SIDE,
            "wide": appearance._WIDE,
            "same_place_iou": appearance._SAME_PLACE_IOU,
            "grid": appearance._GRID,
            "cut_likeness": appearance._CUT_LIKENESS,
            "cut_levels": appearance._CUT_LEVELS,
        },
        "legibility": {
            "smallest_px": legibility.MIN_SIDE_PX,
            "least_sharpness": legibility.MIN_SHARPNESS,
            "darkest": legibility.MIN_BRIGHTNESS,
            "flattest": legibility.MIN_CONTRAST,
            "furthest_deg": legibility.MAX_TURN_DEG,
            "slack": legibility._SLACK,
        },
        "pose": {"back": pose.RETURN_FACTOR, "fit": (model @ np.linalg.inv(model.T @ model)).tolist()},
        "smoother": {
            "tau_s": _default(smoother.Smoother.__init__, "tau_s"),
            "lead": smoother.LEAD,
            "forgotten": smoother._RESET_AFTER,
        },
        "trend": {
            "window_s": _default(analytics.Trend.__init__, "window_s"),
            "step_s": _default(analytics.Trend.__init__, "step_s"),
        },
        "tally": {
            "slice_s": _default(tally.Tally.__init__, "slice_s"),
            "max_slices": tally._MAX_SLICES,
            "faces_told": tally._FACES_TOLD,
            "others": tally._OTHERS,
        },
        "episodes": {"longest_gap_s": episodes.LONGEST_GAP_S, "kept": episodes.KEPT},
        "pictures": {"still_s": recorded.STILL_S},
        "xapi": {
            "base": xapi.BASE,
            "profile": xapi.PROFILE,
            "accounts": xapi.ACCOUNTS,
            "session_type": xapi.SESSION_TYPE,
            "extensions": xapi.EXTENSIONS,
            "terminated": list(xapi.VERBS["terminated"]),
            "min_face_s": xapi.MIN_FACE_S,
        },
        "columns": list(observations.COLUMNS),
        "observable_columns": list(observations.OBSERVABLE_COLUMNS),
    }


def constants_text() -> str:
    """Return the contents of ``web/engine/constants.json``."""
    return json.dumps(engine_constants(), indent=1) + "\n"


def _default(function: Callable[..., object], name: str) -> Any:
    """Return the default value of a parameter."""
    return inspect.signature(function).parameters[name].default


if __name__ == "__main__":
    print(constants_text(), end="")
