"""Which files of a tree are images of which class and split; no file is opened for it.

FER2013 has ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``, the test folder with two splits
told apart by the file name's prefix, and must be whole. A set of one's own has the same
folders and a class table, or ``CLASS/*.jpg`` and no split folder, which is all Training; it
may lack classes. Every fault is named at once, so that a user fixes a folder in one go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mien.data.class_table import folder_key
from mien.data.dataset import SPLITS
from mien.data.trees import Tree
from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError

_FOLDER_SPLIT: Final[dict[str, str]] = {
    "train": "Training",
    "training": "Training",
    "val": "PublicTest",
    "validation": "PublicTest",
    "test": "PrivateTest",
}
_IMAGE_ENDINGS: Final = frozenset(
    # a picture that OpenCV cannot decode is named as unreadable, not passed over
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "tif", "tiff", "pgm", "ppm", "pnm", "gif", "jp2", "avif", "heic", "heif"]
)
_MAX_WRAPPERS: Final = 2
_TABLE: Final = "--classes TABLE, a file that begins with 'folder,class' and has lines such as"


@dataclass(frozen=True, slots=True)
class Listing:
    """Images that should be read.

    Attributes:
        images: (name, class, split) of each, by split folder, then class.
        own: the set is a user's own and may lack classes; else it is held against FER2013.
    """

    images: list[tuple[str, str, str]]
    own: bool


@dataclass(frozen=True, slots=True)
class _Names:
    """What a folder's own name means; a class table goes before everything else."""

    table: Mapping[str, str | None]

    def left_out(self, path: str) -> bool:
        """Tell whether the table leaves out the folder, or one around it."""
        return any(self.table.get(key, key) is None for key in map(folder_key, path.split("/")))

    def emotion(self, path: str) -> str | None:
        key = folder_key(_base(path))
        return self.table[key] if key in self.table else canonical_name(key)

    def split(self, path: str) -> str | None:
        key = folder_key(_base(path))
        return None if key in self.table else _FOLDER_SPLIT.get(key)


def list_images(tree: Tree, where: str, classes: Mapping[str, str | None] | None) -> Listing:
    """Return the images of ``tree`` with their classes and splits.

    Args:
        tree: a folder or a zip.
        where: how errors name the tree.
        classes: class by folder name, None for a folder to leave out; other folders go by
            their own names. With it the set is a user's own.

    Raises:
        DataError: a folder is unknown, or cannot be looked into; FER2013 lacks a class; there is no image.
    """
    names = _Names({folder_key(name): emotion for name, emotion in (classes or {}).items()})
    root, splits = _find_homes(tree, where, names)
    own = classes is not None or root in splits
    class_folders: dict[str, tuple[str, str]] = {}
    unknown = _beside(tree, names, root, splits) if classes is not None else []
    for folder in sorted(tree.folders):
        if _parent(folder) in splits and not names.left_out(_base(folder)):
            emotion = names.emotion(folder)
            if emotion is None:
                unknown.append(folder)
            else:
                class_folders[folder] = (_parent(folder), emotion)
    groups: dict[tuple[str, str], list[str]] = {place: [] for place in class_folders.values()}
    nested: Counter[str] = Counter()
    for name in tree.files:
        if name.rpartition(".")[2].lower() in _IMAGE_ENDINGS:
            folder = _parent(name)
            if folder in class_folders:
                groups[class_folders[folder]].append(name)
            elif _is_below(folder, class_folders):
                nested[folder] += 1

    closed = [folder for folder in sorted(tree.barred) if folder in splits or folder in class_folders or folder in unknown]
    faults = [f"unknown class folder {f} (the classes are {', '.join(EMOTIONS)})" for f in unknown if f not in closed]
    if own:
        closed += [folder for folder in sorted(tree.barred) if _is_below(_parent(folder), class_folders)]
        faults += [f"{n} images in {f} are not read: move them up, into the class folder" for f, n in sorted(nested.items())]
    else:
        wanted = [(home, emotion) for home in splits if home not in closed for emotion in EMOTIONS]
        faults += [f"class folder missing: {_join(*place)}" for place in wanted if place not in groups]
        faults += [f"class folder empty: {_join(*place)}" for place in wanted if groups.get(place) == []]
    faults += [f"{folder} {tree.barred[folder]}" for folder in closed]
    if own and not faults and not any(groups.values()):
        faults = ["no image in its class folders. Images end in .jpg, .png or the like and stand directly in a class folder"]
    if faults:
        _refuse(where, faults, unknown, own)
    images = [
        (name, emotion, _split_of(name, splits[home], root not in splits))
        for (home, emotion), group in sorted(groups.items())
        for name in group
    ]
    return Listing(images, own)


def _find_homes(tree: Tree, where: str, names: _Names) -> tuple[str, dict[str, str]]:
    """Return the root, and the split of each folder that holds class folders.

    The root is the shallowest folder that holds ``train``; or it holds class folders itself,
    where they stand nearer to the top.
    """
    by_depth = sorted((f for f in tree.folders if not names.left_out(f)), key=lambda folder: (folder.count("/"), folder))
    train = next((_parent(folder) for folder in by_depth if names.split(folder) == SPLITS[0]), None)
    homes: list[str] = []
    for folder in by_depth:
        home = _parent(folder)
        if names.emotion(folder) and names.split(home) is None and _depth(home) <= _MAX_WRAPPERS and not _is_below(home, homes):
            homes.append(home)
    if train is not None and (not homes or _depth(train) <= _depth(homes[0])):
        inside = [folder for folder in sorted(by_depth) if _parent(folder) == train]
        return train, {folder: split for folder in inside if (split := names.split(folder)) is not None}
    if not homes:
        held = ", ".join(f for f in by_depth[:8] if _depth(f) == _depth(by_depth[0])) or "no folder"
        closed = "".join(f"; {folder} {reason}" for folder, reason in sorted(tree.barred.items())[:4])
        raise DataError(
            f"{where}: no folder 'train' in it, and no class folder; it holds {held}{closed}. "
            f"Expected train/CLASS/*.jpg and test/CLASS/*.jpg, or CLASS/*.jpg, with the classes {', '.join(EMOTIONS)}. "
            f"Say what other folders are with {_TABLE} 'joyful,happy'"
        )
    if len(homes) > 1:
        raise DataError(
            f"{where}: class folders stand in {len(homes)} places: {', '.join(homes[:4])}. "
            "Put them together, or name one place with --data"
        )
    return homes[0], {homes[0]: SPLITS[0]}


def _beside(tree: Tree, names: _Names, root: str, splits: Mapping[str, str]) -> list[str]:
    """Return the folders next to split folders that nobody asked for and nobody left out."""
    if root in splits:
        return []
    return [f for f in sorted(tree.folders) if _parent(f) == root and f not in splits and not names.left_out(_base(f))]


def _refuse(where: str, faults: list[str], unknown: list[str], own: bool) -> None:
    """Raise the error that names the faults, eight at most, and says how a class table helps."""
    hint = ""
    if unknown:
        base = _base(unknown[0])
        hint = f". Say what a folder is with {_TABLE} '{base},-' (leave it out) or '{base},happy'"
    elif not own:
        hint = ". A set that is not FER2013 may lack classes: read it with --classes TABLE, which begins with 'folder,class'"
    more = f" (and {len(faults) - 8} more)" if len(faults) > 8 else ""
    raise DataError(f"{where}: " + "; ".join(faults[:8]) + more + hint)


def _split_of(name: str, folder_split: str, by_prefix: bool) -> str:
    """Return the split of a file: by its name's prefix where it has one and that counts, else by its folder."""
    prefix = _base(name).split("_", 1)[0]
    return prefix if by_prefix and prefix in SPLITS else folder_split


def _parent(name: str) -> str:
    """Return the folder that ``name`` stands in, empty for the root."""
    return name.rpartition("/")[0]


def _base(name: str) -> str:
    """Return the last part of ``name``."""
    return name.rpartition("/")[2]


def _join(folder: str, name: str) -> str:
    """Return the name of ``name`` in ``folder``."""
    return f"{folder}/{name}" if folder else name


def _depth(folder: str) -> int:
    """Return how many folders lead to ``folder``, itself included; the root has 0."""
    return folder.count("/") + 1 if folder else 0


def _is_below(folder: str, tops: Mapping[str, object] | list[str]) -> bool:
    """Tell whether ``folder`` is one of ``tops`` or stands below one."""
    while folder and folder not in tops:
        folder = _parent(folder)
    return folder in tops
