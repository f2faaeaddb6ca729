"""Which picture a file of labels means by a name: an imported picture or an own drawing, with or without folders and suffix. Nothing is guessed.

A name means the picture whose own name it is; else those whose name ends in it (`1.jpg` means `a/1.jpg`), or, where it has folders of its own,
the one whose whole name it ends in (`train/1.jpg` means `1.jpg`, but never `a/1.jpg`). Where it fits several pictures it means none, and so do
several names that fit one and the same picture.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from genga.pictures import SUFFIXES


def find_pictures(names: Iterable[str], known: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Those of `names` that mean a picture -> its id. `known`: name and id of each picture."""
    whole: dict[str, set[str]] = defaultdict(set)
    parts: dict[str, set[str]] = defaultdict(set)
    for name, id_ in known:
        for form in {name, _without_suffix(name)}:
            whole[form].add(id_)
            for ending in _endings(form):
                parts[ending].add(id_)
    own = {name for name, _ in known}
    fits = {name: whole[name] if name in own else _fits(name, whole, parts) for name in names}
    found = {name: next(iter(ids)) for name, ids in fits.items() if len(ids) == 1}
    times = Counter(found.values())
    return {name: id_ for name, id_ in found.items() if name in own or times[id_] == 1}


def _fits(name: str, whole: Mapping[str, set[str]], parts: Mapping[str, set[str]]) -> set[str]:
    _, *shorter = _endings(name)
    return next((ids for ids in (parts.get(name), *map(whole.get, shorter)) if ids), set())


def _endings(name: str) -> list[str]:
    """`a/b/c` -> itself, `b/c`, `c`."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _without_suffix(name: str) -> str:
    """Only the suffixes of pictures are some: `1.5` stays."""
    return name[: -len(suffix)] if (suffix := PurePosixPath(name).suffix).lower() in SUFFIXES else name
