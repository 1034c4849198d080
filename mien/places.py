"""Paths of the user's data and cache folders."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path, user_data_path


def data_folder() -> Path:
    """Return the user's data folder for Mien; it is not created."""
    return user_data_path("mien", appauthor=False)


def cache_folder() -> Path:
    """Return the user's cache folder for Mien; it is not created."""
    return user_cache_path("mien", appauthor=False, opinion=False)
