"""The frozen records that stages exchange: frames, detections, predictions and readings.

Coordinates are pixels of the frame, with x to the right and y down. Times are seconds on the
source's clock. Records do not refer to files, cameras or models.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mien.emotions import COLOURS, EMOTIONS

FACING_YAW_DEG: Final = 35.0
"""Maximum absolute yaw in degrees of a head that faces the screen."""
FACING_PITCH_DEG: Final = 28.0
"""Maximum absolute pitch in degrees of a head that faces the screen."""
LONGEST_INTERVAL_S: Final = 1.0
"""Maximum time in seconds that a frame represents; the rest of a longer gap counts as absence."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source.

    Attributes:
        index: position in the source, from 0; dropped frames leave gaps.
        t_s: presentation time in a file, or seconds since the start of a camera's session;
            monotonic, and it continues while a camera is disconnected.
        image: (H, W, 3) uint8 BGR.
        interval_s: the time that the frame represents, in seconds, without gaps: until the next
            frame of a recording, or since the previous frame of a live source.
        is_new_scene: whether it is unrelated to the previous frame, like the pictures of a folder.

    Raises:
        ValueError: ``image`` has another shape or dtype.
    """

    index: int
    t_s: float
    image: NDArray[np.uint8]
    interval_s: float = 0.0
    is_new_scene: bool = False

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"a frame is (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle: left, top, width and height in pixels; it may extend beyond the frame."""

    x: float
    y: float
    w: float
    h: float

    def iou(self, other: Box) -> float:
        """Return the intersection over union with ``other``, 0 to 1."""
        across = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        down = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.w * self.h + other.w * other.h - shared)


@dataclass(frozen=True, slots=True)
class Detection:
    """A detected face.

    Attributes:
        box: position of the face.
        score: the detector's confidence, 0 to 1.
        landmarks: (5, 2) float32 pixels: the person's right eye, left eye, nose tip, right
            and left mouth corner; None if they are unknown.
    """

    box: Box
    score: float
    landmarks: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Output of the model for a batch of N faces.

    Attributes:
        probabilities: (N, 7) float32, rows sum to 1, classes in the order of ``EMOTIONS``.
        embedding: (N, D) float32.
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Orientation of a head in degrees; all angles are 0 when it points at the camera.

    Attributes:
        yaw_deg: rotation to the side, positive towards the right of the image.
        pitch_deg: rotation up or down, positive upwards.
        roll_deg: tilt, positive clockwise in the image.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float

    def faces_screen(self, slack: float = 1.0) -> bool:
        """Return whether the head points at the screen, within ``slack`` times the limits.

        The limits allow for the error of the pose, a camera above the screen, and the width of the
        screen. This is the direction of the head, not of the gaze.

        >>> HeadPose(10, -5, 40).faces_screen(), HeadPose(45, 0, 0).faces_screen()
        (True, False)
        """
        return bool(abs(self.yaw_deg) <= slack * FACING_YAW_DEG and abs(self.pitch_deg) <= slack * FACING_PITCH_DEG)


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class FaceReading:
    """One tracked face in one frame, with its predicted expression unless the face was not read.

    Attributes:
        track_id: random name of the track, valid within the session; "" for a crop, which is not tracked.
        detection: the detected face.
        raw: (7,) float32 probabilities of this frame; NaN if the face was not read.
        smoothed: (7,) float32 probabilities smoothed over time; NaN if the face was not read.
        label: the displayed class, "" if the face was not read. Because of hysteresis, it is not always the
            most probable class of ``smoothed``.
        uncertain_below: confidence, 0 to 1, below which the reading is uncertain.
        pose: head pose; None without landmarks.
        unread: the reason why the face was not read ("too small"), or "".
        facing: whether the head points at the screen, None if unknown. By default it follows from the pose of this
            frame; in a stream, :class:`mien.vision.pose.FacingFilter` sets it.
    """

    track_id: str
    detection: Detection
    raw: NDArray[np.float32]
    smoothed: NDArray[np.float32]
    label: str
    uncertain_below: float = 0.0
    pose: HeadPose | None = None
    unread: str = ""
    facing: bool | None = None

    def __post_init__(self) -> None:
        if self.facing is None and self.pose is not None:
            object.__setattr__(self, "facing", self.pose.faces_screen())

    @property
    def confidence(self) -> float:
        """Smoothed probability of ``label``, 0 to 1; 0 if the face was not read."""
        return 0.0 if self.unread else float(self.smoothed[EMOTIONS.index(self.label)])

    @property
    def uncertain(self) -> bool:
        """Whether the confidence is below ``uncertain_below``; False if the face was not read."""
        return not self.unread and self.confidence < self.uncertain_below

    @property
    def words(self) -> str:
        """The reading as text, such as "happy 97%"; uncertain readings have a question mark."""
        return f"not read: {self.unread}" if self.unread else f"{self.label}{'?' if self.uncertain else ''} {self.confidence:.0%}"

    @property
    def probabilities(self) -> dict[str, float]:
        """``smoothed`` by class name, in the order of ``EMOTIONS``; empty if the face was not read."""
        return {} if self.unread else dict(zip(EMOTIONS, self.smoothed.tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as plain values for JSON."""
        landmarks = self.detection.landmarks
        return {
            "track_id": self.track_id,
            "box": asdict(self.detection.box),
            "score": self.detection.score,
            "landmarks": None if landmarks is None else landmarks.tolist(),
            "label": self.label,
            "confidence": self.confidence,
            "uncertain": self.uncertain,
            "unread": self.unread,
            "probabilities": self.probabilities,
            "pose": None if self.pose is None else asdict(self.pose),
        }

    def __repr__(self) -> str:
        box = self.detection.box
        return f"<FaceReading {self.words} at ({box.x:.0f}, {box.y:.0f}), {box.w:.0f}x{box.h:.0f}>"


@dataclass(frozen=True, slots=True, repr=False)
class FrameResult:
    """All faces of one frame.

    Attributes:
        index: index of the frame.
        t_s: time of the frame in seconds.
        size: width and height of the frame in pixels.
        faces: the faces from left to right.
        interval_s: the time that the frame represents, in seconds.
    """

    index: int
    t_s: float
    size: tuple[int, int]
    faces: tuple[FaceReading, ...]
    interval_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values for JSON."""
        return {
            "index": self.index,
            "t_s": self.t_s,
            "interval_s": self.interval_s,
            "width": self.size[0],
            "height": self.size[1],
            "faces": [face.to_dict() for face in self.faces],
        }

    def __repr__(self) -> str:
        faces = ", ".join(face.words for face in self.faces) or "no face"
        return f"<FrameResult {self.index} at {self.t_s:.2f} s: {faces}>"

    def _repr_html_(self) -> str:
        """Return the result as HTML for notebooks: one row per face, one bar per class."""
        from mien.pages import render

        return render("result.html", result=self, colours=COLOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """State of a source, and its faults so far.

    Attributes:
        state: ``ok``; ``stalled``: no frame for a second; ``lost``: disconnected, reconnecting;
            ``black``: all frames are black.
        since_s: duration of the state in seconds; 0 for ``ok``.
        losses: number of disconnections.
        stalls: number of gaps of more than a second without a disconnection.
        lost_s: total time without frames during disconnections and stalls, in seconds.
        reopenings: number of successful reconnections.
        black_frames: number of black frames.
        resolution_changes: number of changes of the frame size.
        repaired_times: number of presentation times that ran backwards and were corrected.
        unreadable: number of unreadable pictures in a folder.
    """

    state: Literal["ok", "stalled", "lost", "black"] = "ok"
    since_s: float = 0.0
    losses: int = 0
    stalls: int = 0
    lost_s: float = 0.0
    reopenings: int = 0
    black_frames: int = 0
    resolution_changes: int = 0
    repaired_times: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a view shows of a running session at one moment.

    Attributes:
        result: result of the latest frame.
        distribution: (7,) float64, share of face time by label since the start or the last
            reset; sums to 1, or all 0 before the first face.
        trend_t_s: (T,) float64, times of the trend's points in seconds, oldest first.
        trend: (T, 7) float64, mean smoothed probabilities of the faces at these times; rows
            without a face are NaN.
        trend_window_s: length of the trend in seconds.
        source: description of the source.
        detector: name of the face detector.
        model: name of the model bundle.
        elapsed_s: session time on the source's clock in seconds.
        frames: number of processed frames.
        frames_with_face: number of frames with at least one face.
        faces_max: maximum number of faces in a frame.
        captured_fps: current frame rate of the source, per second.
        processed_fps: current rate of processed frames, per second.
        dropped: number of frames that were dropped in favour of newer ones.
        paused: whether the session is paused.
        notice: a message for the user ("screenshot saved: …"), or "".
        health: state of the source; while it is stalled or lost, ``result`` has no faces.
        expressions: whether expressions are read; if not permitted, only presence and pose are available.
        valence: current mean valence of the expressions, -1 to 1; NaN if none is read.
        arousal: current mean arousal of the expressions, -1 to 1; NaN if none is read.
        entropy: current mean entropy of the predictions in bits, 0 to log2(7); NaN if none is read.
        facing_now: whether any head points at the screen; None if no pose is known.
        facing_share: share of the time with a known pose in which a head pointed at the screen, since the start, 0 to 1;
            NaN before.
        presence_share: share of the time with a face since the start, 0 to 1.
        signs: current results of rules, as text.
        drift: state of the drift monitor: watching, ok, drift or unavailable; "" without a monitor.
    """

    result: FrameResult
    distribution: NDArray[np.float64]
    trend_t_s: NDArray[np.float64]
    trend: NDArray[np.float64]
    trend_window_s: float
    source: str
    detector: str
    model: str
    elapsed_s: float
    frames: int
    frames_with_face: int
    faces_max: int
    captured_fps: float
    processed_fps: float
    dropped: int
    paused: bool
    notice: str
    health: SourceHealth = SourceHealth()
    expressions: bool = True
    valence: float = math.nan
    arousal: float = math.nan
    entropy: float = math.nan
    facing_now: bool | None = None
    facing_share: float = math.nan
    presence_share: float = 0.0
    signs: tuple[str, ...] = ()
    drift: str = ""
