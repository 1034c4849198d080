"""What is known about FER2013 as such, and used only where the data at hand is FER2013."""

from __future__ import annotations

from typing import Final

FER2013_HASH: Final = "e71e8999b38d4126427ff71691b1842d872e69b6982c4dbb79102f2a0343cdc0"
"""Content hash of all 35,887 images as Kaggle ships them."""

CLAIMED_LOW_QUALITY: Final = 0.15
CLAIMED_NEAR_DUPLICATES: Final = 0.08
"""Shares that descriptions of FER2013 give without a method; the audit sets its own beside them."""
