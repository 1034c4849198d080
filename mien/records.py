"""The frozen records in which stages meet: what a frame is, what was found in it, what was read.

Coordinates are pixels of the frame they belong to, x to the right and y down. Times are
seconds on the source's own clock. A record holds no file, no camera and no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS

FACING_YAW_DEG: Final = 35.0
"""A head turned further than this to either side does not face the screen."""
FACING_PITCH_DEG: Final = 28.0
"""The same for up and down."""
LONGEST_INTERVAL_S: Final = 1.0
"""A frame stands for at most this much time: what lies behind a longer gap was not seen, so it counts as absence."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: position in the source, from 0; dropped frames leave gaps.
        t_s: presentation time of a file, or seconds since a camera's session began; it never
            runs back, and goes on while a camera is lost.
        image: (H, W, 3) uint8, blue-green-red.
        interval_s: how much time the frame stands for, in seconds: until the next frame of a
            recording, since the one before of a live source, without gaps.
    """

    index: int
    t_s: float
    image: NDArray[np.uint8]
    interval_s: float = 0.0

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"a frame is (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle: left, top, width and height in pixels; it may reach out of the frame."""

    x: float
    y: float
    w: float
    h: float

    def iou(self, other: Box) -> float:
        """Return intersection over union with ``other``, 0 to 1."""
        across = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        down = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.w * self.h + other.w * other.h - shared)


@dataclass(frozen=True, slots=True)
class Detection:
    """A face that a detector found.

    Attributes:
        box: where it is.
        score: the detector's confidence, 0 to 1.
        landmarks: (5, 2) float32 pixels: the person's right eye, left eye, nose tip, right
            and left mouth corner; None from a detector that gives none.
    """

    box: Box
    score: float
    landmarks: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of a batch of N faces.

    Attributes:
        probabilities: (N, 7) float32, rows sum to 1, classes as in ``EMOTIONS``.
        embedding: (N, D) float32.
    """

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Where a head points, in degrees; all 0 looks straight into the camera.

    Attributes:
        yaw_deg: turned sideways, positive towards the right of the picture.
        pitch_deg: nodded, positive upwards.
        roll_deg: tilted, positive clockwise in the picture.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float

    def faces_screen(self, slack: float = 1.0) -> bool:
        """Return whether the head points at the screen, within ``slack`` times the limits.

        The limits leave room for the error of the pose, a camera above the screen and the
        screen's own width. It says where a head points, not where eyes look.

        >>> HeadPose(10, -5, 40).faces_screen(), HeadPose(45, 0, 0).faces_screen()
        (True, False)
        """
        return bool(abs(self.yaw_deg) <= slack * FACING_YAW_DEG and abs(self.pitch_deg) <= slack * FACING_PITCH_DEG)


@dataclass(frozen=True, slots=True)
class FaceReading:
    """One face in one frame, tracked, and read where it can be.

    Attributes:
        track_id: a random name that ends with the session.
        detection: where the face is.
        raw: (7,) float32, probabilities from this frame alone; NaN where it was not read.
        smoothed: (7,) float32, probabilities smoothed over time; NaN where it was not read.
        label: the class that is shown, "" where it was not read. It stays until another is
            clearly more probable, so it need not be the greatest of ``smoothed``.
        uncertain_below: the confidence, 0 to 1, below which the model errs too often to be believed.
        pose: where the head points; None without landmarks.
        unread: why the face was not read, in a word or two ("too small"), or "".
    """

    track_id: str
    detection: Detection
    raw: NDArray[np.float32]
    smoothed: NDArray[np.float32]
    label: str
    uncertain_below: float = 0.0
    pose: HeadPose | None = None
    unread: str = ""

    @property
    def confidence(self) -> float:
        """The smoothed probability of ``label``, 0 to 1; 0 where the face was not read."""
        return 0.0 if self.unread else float(self.smoothed[EMOTIONS.index(self.label)])

    @property
    def uncertain(self) -> bool:
        """Whether the reading should be taken for a guess; a face that was not read makes none."""
        return not self.unread and self.confidence < self.uncertain_below

    @property
    def words(self) -> str:
        """The reading as people see it; a guess carries a question mark."""
        return f"not read: {self.unread}" if self.unread else f"{self.label}{'?' if self.uncertain else ''} {self.confidence:.0%}"


@dataclass(frozen=True, slots=True)
class FrameResult:
    """All faces of one frame.

    Attributes:
        index: the frame's index.
        t_s: the frame's time.
        size: the frame's width and height in pixels.
        faces: from left to right; empty when nobody is there.
        interval_s: how much time the frame stands for, in seconds.
    """

    index: int
    t_s: float
    size: tuple[int, int]
    faces: tuple[FaceReading, ...]
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How a source fares at one moment, and what has gone wrong with it so far.

    Attributes:
        state: ``ok``; ``stalled``: no frame for a second; ``lost``: given up and being opened
            again; ``black``: frames come, and all are black.
        since_s: how long that state has lasted, in seconds; 0 for ``ok``.
        losses: times it was lost.
        stalls: gaps of more than a second that ended by themselves.
        lost_s: seconds without a frame in all of these together.
        reopenings: times it gave frames again after it was opened anew.
        black_frames: frames that were black.
        resolution_changes: times a frame had another size than the one before.
        repaired_times: presentation times that ran back and were put right.
        unreadable: pictures of a folder that could not be read.
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a view shows of a running session, at one moment.

    Attributes:
        result: the newest frame's faces.
        distribution: (7,) float64, share of face time by label since the start or the last
            reset; sums to 1, all 0 before the first face.
        trend_t_s: (T,) float64, times of the trend's points, oldest first.
        trend: (T, 7) float64, mean smoothed probabilities of the faces at those times; rows
            are NaN where nobody was there.
        trend_window_s: how far back the trend reaches.
        source: what is being watched, for people.
        detector: name of the face detector.
        model: name of the model bundle.
        elapsed_s: session time on the source's clock.
        frames: frames processed.
        frames_with_face: frames with at least one face.
        faces_max: most faces in one frame.
        captured_fps: frames a second the source delivered lately.
        processed_fps: frames a second that were processed lately.
        dropped: frames dropped because a newer one had come.
        paused: whether the user has paused.
        notice: a sentence for the user ("screenshot saved to …", "camera 0 is lost …"), or "".
        health: how the source fares; while it is stalled or lost, ``result`` has no faces.
        expressions: whether expressions are read; where that is not permitted, presence and pose are all there is.
        valence: pleasantness that the expressions now show, -1 to 1; NaN where none is read.
        arousal: the same for activation.
        entropy: how undecided the readings now are, in bits, 0 to log2(7); NaN where none is read.
        facing_now: whether a head points at the screen; None where nobody is there or no pose is known.
        facing_share: share of the time with a known pose in which a head pointed at the screen, since the start; NaN before.
        presence_share: share of the time in which a face was there, since the start.
        signs: what rules say of this moment, in words.
        drift: whether the picture is as it was: watching, ok, drift or unavailable; "" where nobody looks.
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
