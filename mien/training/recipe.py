"""Recipes: training settings in TOML files, packaged or user-defined.

A recipe has a ``description``, the keys of ``TrainSettings`` at the top level and those of
``AugmentSettings`` under ``[augment]``. Missing keys have their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from mien.checked_table import CheckedTable, fault_message, parse_checked, read_toml
from mien.documents import parse_toml
from mien.errors import FaultsError, UsageError
from mien.training.settings import TrainSettings, broken_rules

_MAX_BYTES: Final = 1024 * 1024
_FOLDER: Final = resources.files("mien.training") / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes, sorted."""
    return sorted(Path(entry.name).stem for entry in _FOLDER.iterdir() if entry.name.endswith(".toml"))


def read_recipe(name_or_path: str) -> tuple[str, TrainSettings]:
    """Return description and settings of a recipe, given by the name of a packaged recipe or by a path.

    Raises:
        UsageError: no such recipe, or it has unknown keys or invalid values.
        DataError: the file cannot be read or is not TOML.
    """
    packaged = _FOLDER / f"{name_or_path}.toml"
    source = packaged if packaged.is_file() else Path(name_or_path)
    if not source.is_file():
        raise UsageError(f"no recipe {name_or_path!r}. Use one of {', '.join(recipe_names())}, or a TOML file")
    name = f"the recipe {name_or_path}"
    text = read_toml(source, "the recipe", _MAX_BYTES) if isinstance(source, Path) else source.read_text(encoding="utf-8")
    faults: list[str] = []
    whole = parse_checked(text, name, faults)
    description = whole.text("description", needed=False)
    return description, _settings(whole, TrainSettings(), name, faults)


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``key=value`` assignments by key. Values are parsed as TOML; anything else is a string.

    >>> parse_changes(["epochs=3", "augment.cutmix=0.5", "optimiser=sgd"])
    {'epochs': 3, 'augment.cutmix': 0.5, 'optimiser': 'sgd'}

    Raises:
        UsageError: an assignment has no equals sign or no value.
    """
    changes: dict[str, Any] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not value:
            raise UsageError(f"--set takes KEY=VALUE, not {text!r}; for example --set augment.cutmix=0.5")
        try:
            changes[key.strip()] = parse_toml(f"value = {value}")["value"]
        except (ValueError, KeyError):
            changes[key.strip()] = value
    return changes


def with_changes(settings: TrainSettings, changes: Mapping[str, Any]) -> TrainSettings:
    """Return ``settings`` with some values replaced; keys of the augmentation start with ``augment.``.

    Raises:
        UsageError: an unknown key or an invalid value; all faults are reported.
    """
    values: dict[str, Any] = {key: value for key, value in changes.items() if "." not in key}
    for key, value in changes.items():
        part, dot, name = key.partition(".")
        if dot:
            values[part] = {**(values[part] if isinstance(values.get(part), dict) else {}), name: value}
    faults: list[str] = []
    return _settings(CheckedTable(values, "", faults, ()), settings, "--set", faults)


def _settings(table: CheckedTable, defaults: TrainSettings, name: str, faults: list[str]) -> TrainSettings:
    """Return the settings in a table.

    Args:
        table: keys of the settings, with those of the augmentation in a sub-table.
        defaults: values of missing keys; every value must have the type of its default.
        name: name of the table in errors.
        faults: list to which the table appends faults.

    Raises:
        UsageError: an unknown key or an invalid value; all faults are reported.
    """
    keys = [field.name for field in fields(defaults) if field.name != "augment"]
    ours = {key: table.like(key, getattr(defaults, key)) for key in keys}
    augment = defaults.augment
    part = table.table("augment")
    if part is not None:
        keys = [field.name for field in fields(augment)]
        augment = replace(augment, **{key: part.like(key, getattr(augment, key)) for key in keys})
        part.close()
    table.close()
    for key, value, rule in broken_rules(SimpleNamespace(**ours, augment=augment)):
        holder = part if part is not None and key.startswith("augment.") else table
        holder.note(key.removeprefix("augment.") if holder is part else key, f"is {value}; it must be {rule}")
    if faults:
        raise FaultsError(fault_message(name, faults))
    return TrainSettings(**ours, augment=augment)
