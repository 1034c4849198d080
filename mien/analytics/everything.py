"""All the analytics of a session as one object: what is kept, and what the screen shows."""

from __future__ import annotations

import math
from typing import Any

from mien.analytics.affect import Affect
from mien.analytics.attention import Attention
from mien.analytics.distribution import Distribution
from mien.analytics.episodes import Episodes
from mien.analytics.per_face import PerFace
from mien.analytics.totals import Totals
from mien.analytics.trend import Trend
from mien.emotions import EMOTIONS
from mien.records import FrameResult


class Analytics:
    """Everything that adds up over a session; ``shown`` and ``trend`` alone can start anew."""

    def __init__(self) -> None:
        self.totals, self.distribution = Totals(), Distribution()
        self.affect, self.attention, self.episodes, self.per_face = Affect(), Attention(), Episodes(), PerFace()
        self.shown, self.trend = Distribution(), Trend()

    def update(self, result: FrameResult) -> None:
        """Take in the next frame's faces."""
        for part in (self.totals, self.distribution, self.affect, self.attention, self.episodes, self.per_face):
            part.update(result)
        self.shown.update(result)
        self.trend.update(result)

    def reset_screen(self) -> None:
        """Let what the screen shows start anew; what is kept goes on."""
        self.shown, self.trend = Distribution(), Trend()

    def now(self, silent: bool) -> dict[str, Any]:
        """Return the fields of a :class:`mien.records.Snapshot` that analytics fill.

        Args:
            silent: nothing comes from the source: what is true of this very moment is unknown.
        """
        valence, arousal, entropy = (math.nan, math.nan, math.nan) if silent else self.affect.now
        return {
            "distribution": self.shown.shares,
            "trend_t_s": self.trend.t_s,
            "trend": self.trend.values,
            "trend_window_s": self.trend.window_s,
            "elapsed_s": self.totals.elapsed_s,
            "frames": self.totals.frames,
            "frames_with_face": self.totals.frames_with_face,
            "faces_max": self.totals.faces_max,
            "valence": valence,
            "arousal": arousal,
            "entropy": entropy,
            "facing_now": None if silent else self.attention.facing_now,
            "facing_share": self.attention.facing_share,
            "presence_share": self.attention.presence_share,
        }

    def facts(self) -> dict[str, Any]:
        """Return what a summary keeps beyond counts and shares, as plain values; None where there was no face."""
        mean = self.affect.mean
        facing = self.attention.facing_share
        moves = self.episodes.transitions
        return {
            "presence_share": round(self.attention.presence_share, 4),
            "facing_share": None if math.isnan(facing) else round(facing, 4),
            "valence": None if mean is None else round(mean[0], 4),
            "arousal": None if mean is None else round(mean[1], 4),
            "entropy_bits": None if mean is None else round(mean[2], 4),
            "unread": {why: int(count) for why, count in sorted(self.totals.unread.items())},
            "transitions": {
                a: {b: int(moves[i, j]) for j, b in enumerate(EMOTIONS) if moves[i, j]}
                for i, a in enumerate(EMOTIONS)
                if moves[i].any()
            },
            "dwell": {
                name: {key: round(value, 3) for key, value in times.items()} for name, times in self.episodes.dwell.items()
            },
            "episodes": [
                {"track_id": e.track_id, "label": e.label, "start_s": round(e.start_s, 3), "end_s": round(e.end_s, 3)}
                for e in self.episodes.episodes
            ],
            "faces": {
                name: {
                    "presence_s": round(time.presence_s, 3),
                    "read_s": round(float(time.label_s.sum()), 3),
                    "label_s": {label: round(float(s), 3) for label, s in zip(EMOTIONS, time.label_s, strict=True) if s},
                }
                for name, time in self.per_face.faces.items()
            },
        }
