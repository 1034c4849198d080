"""Class and split of the images in a tree, from names alone.

FER2013 has ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``, where the test folder contains two
splits, distinguished by the prefix of the file name. It must be complete. A user's own data set
has the same folders and a class table, or ``CLASS/*.jpg`` without split folders; classes may be
missing. All errors, and all folders with images that are not read, are reported at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mien.data.class_table import folder_key
from mien.data.dataset import SPLITS
from mien.data.trees import Tree
from mien.emotions import EMOTIONS, canonical_name
from mien.errors import DataError

_SPLIT_NAMES: Final[dict[str, str]] = {
    **dict.fromkeys(("train", "training"), "Training"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development", "publictest"), "PublicTest"),
    **dict.fromkeys(("test", "testing", "privatetest"), "PrivateTest"),
}
"""What data sets call their splits, in lower case."""
_IMAGE_ENDINGS: Final = frozenset(
    # an image that OpenCV cannot decode is reported as unreadable, not ignored
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "tif", "tiff", "pgm", "ppm", "pnm", "gif", "jp2", "avif", "heic", "heif"]
)
_MAX_WRAPPERS: Final = 2
_ARCHIVE_ENDINGS: Final = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".rar", ".7z")
_TABLE: Final = "--classes TABLE, a file that begins with 'folder,class' and has lines such as"


@dataclass(frozen=True, slots=True)
class Listing:
    """Images that should be read.

    Attributes:
        images: (name, class, split) of each, by split folder, then class.
        own: the set is a user's own and may lack classes; else it is compared with FER2013.
        unsplit: the class folders are in no split folder; all images are listed as Training.
        skipped_folders: folders whose images are not read, and how many images each holds.
    """

    images: list[tuple[str, str, str]]
    own: bool
    unsplit: bool
    skipped_folders: dict[str, int]


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
        return None if folder_key(_base(path)) in self.table else split_named(_base(path))


def split_named(name: str) -> str | None:
    """Return the split that a folder or a column calls ``name``, None for another word.

    >>> split_named("Valid"), split_named("PrivateTest"), split_named("holdout")
    ('PublicTest', 'PrivateTest', None)
    """
    return _SPLIT_NAMES.get(folder_key(name))


def is_image(name: str) -> bool:
    """Return whether a file's name has the ending of a picture."""
    return name.rpartition(".")[2].lower() in _IMAGE_ENDINGS


def list_images(tree: Tree, where: str, classes: Mapping[str, str | None] | None) -> Listing:
    """Return the images of ``tree`` with their classes and splits.

    Args:
        tree: a folder or a zip.
        where: how errors name the tree.
        classes: class by folder name, None for a folder to leave out; other folders go by
            their own names. With it the set is a user's own.

    Raises:
        DataError: a folder is unknown, or cannot be searched; FER2013 lacks a class; there is no image.
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
    elsewhere: Counter[str] = Counter()
    for name in filter(is_image, tree.files):
        folder = _parent(name)
        if folder in class_folders:
            groups[class_folders[folder]].append(name)
        elif own and _is_below(folder, class_folders):
            nested[folder] += 1
        elif not names.left_out(folder):
            elsewhere[folder] += 1

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
        faults = [
            "no images in the class folders. Images must be directly in a class folder, with an image suffix such as .jpg or .png"
        ]
    if faults:
        _refuse(where, faults, unknown, own)
    images = [
        (name, emotion, _split_of(name, splits[home], root not in splits))
        for (home, emotion), group in sorted(groups.items())
        for name in group
    ]
    return Listing(images, own, root in splits, _by_top(elsewhere, class_folders))


def _by_top(counts: Mapping[str, int], read: Mapping[str, object]) -> dict[str, int]:
    """Return the number of images by the highest folder that holds none of the folders that are ``read``."""
    around = {"", *read}
    for folder in read:
        while folder := _parent(folder):
            around.add(folder)
    found: Counter[str] = Counter()
    for folder, count in sorted(counts.items()):
        top = folder
        while _parent(top) not in around:
            top = _parent(top)
        found[top] += count
    return dict(found)


def _find_homes(tree: Tree, where: str, names: _Names) -> tuple[str, dict[str, str]]:
    """Return the root, and the split of each folder that holds class folders.

    The root is the shallowest folder that holds ``train``; or it holds class folders itself,
    where they are nearer to the top.
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
        return train, {
            _unwrapped(folder, by_depth, names): split for folder in inside if (split := names.split(folder)) is not None
        }
    if not homes:
        held = ", ".join(f for f in by_depth[:8] if _depth(f) == _depth(by_depth[0])) or "no folder"
        closed = "".join(f"; {folder} {reason}" for folder, reason in sorted(tree.barred.items())[:4])
        packed = [name for name in tree.files if name.lower().endswith((*_ARCHIVE_ENDINGS, ".csv"))]
        if packed and not any(map(is_image, tree.files)):
            archives = ", ".join(packed[:4]) + (" and more" if len(packed) > 4 else "")
            raise DataError(
                f"{where} contains {archives}, which is not searched. Unpack it, and pass the folder, archive or CSV that "
                "contains the images with --data"
            )
        raise DataError(
            f"{where}: no folder 'train' in it, and no class folder; it holds {held}{closed}. "
            f"Expected train/CLASS/*.jpg and test/CLASS/*.jpg, or CLASS/*.jpg, with the classes {', '.join(EMOTIONS)}. "
            f"Map other folder names to classes with {_TABLE} 'joyful,happy'"
        )
    if len(homes) > 1:
        raise DataError(
            f"{where}: class folders were found in {len(homes)} places: {', '.join(homes[:4])}. "
            "Move them into one folder, or pass one of these folders with --data"
        )
    return homes[0], {homes[0]: SPLITS[0]}


def _unwrapped(folder: str, folders: Sequence[str], names: _Names) -> str:
    """Return the folder that holds the class folders of a split: itself, or the only folder in it, as in ``train/train``."""
    for _ in range(_MAX_WRAPPERS):
        inside = [each for each in folders if _parent(each) == folder]
        if len(inside) != 1 or names.emotion(inside[0]) or not any(_parent(f) == inside[0] and names.emotion(f) for f in folders):
            break
        folder = inside[0]
    return folder


def _beside(tree: Tree, names: _Names, root: str, splits: Mapping[str, str]) -> list[str]:
    """Return the folders next to the split folders that are neither class folders nor skipped by the class table."""
    if root in splits:
        return []
    return [
        folder
        for folder in sorted(tree.folders)
        if _parent(folder) == root and not any(_is_below(home, [folder]) for home in splits) and not names.left_out(_base(folder))
    ]


def _refuse(where: str, faults: list[str], unknown: list[str], own: bool) -> None:
    """Raise the error that names the faults, eight at most, and says how a class table helps."""
    hint = ""
    if unknown:
        base = _base(unknown[0])
        hint = f". Map the folder with {_TABLE} '{base},-' (skip it) or '{base},happy'"
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
    """Return the depth of ``folder``; the root has 0."""
    return folder.count("/") + 1 if folder else 0


def _is_below(folder: str, tops: Mapping[str, object] | list[str]) -> bool:
    """Tell whether ``folder`` is one of ``tops`` or stands below one."""
    while folder and folder not in tops:
        folder = _parent(folder)
    return folder in tops
