"""Recipes: training settings as small TOML files, a few in the package, any number of one's own.

A recipe has a ``description``, keys of ``TrainSettings`` at the top, and keys of
``AugmentSettings`` under ``[augment]``; what it leaves out keeps its default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, UsageError
from mien.files import refuse_large
from mien.training.settings import TrainSettings

_MAX_BYTES: Final = 1024 * 1024
_FOLDER: Final = resources.files("mien.training") / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package, in order."""
    return sorted(Path(entry.name).stem for entry in _FOLDER.iterdir() if entry.name.endswith(".toml"))


def read_recipe(name_or_path: str) -> tuple[str, TrainSettings]:
    """Return description and settings of a recipe: one of the package's by name, else a file.

    Raises:
        UsageError: no such recipe, or an unknown key or a wrong value in it.
        DataError: the file is not TOML.
    """
    packaged = _FOLDER / f"{name_or_path}.toml"
    source = packaged if packaged.is_file() else Path(name_or_path)
    if not source.is_file():
        raise UsageError(f"no recipe {name_or_path!r}. The package has {', '.join(recipe_names())}; or give a TOML file")
    if isinstance(source, Path):
        refuse_large(source, _MAX_BYTES, "the recipe")
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"the recipe {name_or_path} is not TOML: {error}") from error
    description = str(table.pop("description", ""))
    augment = table.pop("augment", {})
    if not isinstance(augment, dict):
        raise UsageError(f"augment is {augment!r} in the recipe {name_or_path}; it must be a table of settings")
    flat = {**table, **{f"augment.{key}": value for key, value in augment.items()}}
    return description, with_changes(TrainSettings(), flat)


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``key=value`` texts, values as TOML; a bare word is text.

    >>> parse_changes(["epochs=3", "augment.cutmix=0.5", "optimiser=sgd"])
    {'epochs': 3, 'augment.cutmix': 0.5, 'optimiser': 'sgd'}

    Raises:
        UsageError: no equals sign, or no value behind it.
    """
    changes: dict[str, Any] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not value:
            raise UsageError(f"--set takes KEY=VALUE, not {text!r}; for example --set augment.cutmix=0.5")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key.strip()] = value
    return changes


def with_changes(settings: TrainSettings, changes: Mapping[str, Any]) -> TrainSettings:
    """Return ``settings`` with some values replaced; keys of the augmentation begin with ``augment.``.

    Raises:
        UsageError: an unknown key, or a value of another kind than the default's.
    """
    ours: dict[str, Any] = {}
    augments: dict[str, Any] = {}
    for key, value in changes.items():
        part, name = (augments, key.removeprefix("augment.")) if key.startswith("augment.") else (ours, key)
        default: Any = settings.augment if part is augments else settings
        known = [f.name for f in fields(default) if f.name != "augment"]
        if name not in known:
            prefix = "augment." if part is augments else ""
            raise UsageError(f"unknown training setting {key!r}; there are {', '.join(prefix + k for k in known)}")
        part[name] = _converted(key, value, getattr(default, name))
    return replace(settings, **ours, augment=replace(settings.augment, **augments))


def _converted(key: str, value: Any, default: Any) -> Any:
    """Return ``value`` as the kind of ``default``: a whole number is taken where a number is asked for."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(_converted(key, entry, default[0]) for entry in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise UsageError(f"training setting {key} is {value!r}; it must be like {default!r}")
    return value
