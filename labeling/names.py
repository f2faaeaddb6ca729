"""Which picture a file of labels means by a name: an imported picture or an own drawing, with or without folders and suffix. Nothing is guessed.

A name means the picture whose own name it is; else those whose name ends in it (`1.jpg` means `a/1.jpg`), or, where it has folders of its own,
the one whose whole name it ends in (`train/1.jpg` means `1.jpg`, but never `a/1.jpg`). An own drawing is called so with and without the folder
`figures/` or `sticks/`; where an imported picture is called the same, joints are told of the drawing and tags of the other. What nothing is called
just so is looked for in small or capital letters and either Unicode form, then as Label Studio writes the names of files that are uploaded: `fig
one (1).png` is `fig_one_1.png` there. Where a name fits several pictures it means none, and so do several names that fit one and the same picture.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence, Set
from pathlib import PurePosixPath
from typing import NamedTuple

from genga.pictures import SUFFIXES

Size = tuple[int, int]  # width and height
OWN_FOLDERS = ("figures", "sticks")  # what stages/own_figures.py takes
SIDE_SUFFIXES = frozenset({".json", ".csv", ".md", ".txt", ".pdf", ".html", ".xml", ""})  # what lies beside own drawings
WORK_SUFFIXES = frozenset({".psd", ".psb", ".clip", ".lip", ".kra", ".xcf", ".sai", ".sai2", ".mdp", ".ora", ".procreate"})  # of drawing programs


class Here(NamedTuple):
    """The pictures that are here. `names`: file name and id of every imported picture, of its copies, and of every own drawing. `sizes`: id of each
    of them, of each drawn picture, and of each face that was cut out and its near copies, -> width and height. `drawings`: ids of the own ones."""

    names: list[tuple[str, str]]
    sizes: dict[str, Size]
    drawings: Set[str] = frozenset()


def find_pictures(names: Collection[str], here: Here, posed: Set[str] = frozenset()) -> dict[str, str]:
    """Those of `names` that mean a picture -> its id. `posed`: those of them that joints are told of."""
    known = here.names
    others = {id_ for _, id_ in known} - here.drawings
    fits: dict[str, Set[str]] = {}
    for spelled in (str, folded, _uploaded):
        if left := [name for name in names if not fits.get(name)]:
            index = Index(known, spelled)
            fits |= {name: index.find(name, here.drawings if name in posed else others) for name in left}
    found = {name: next(iter(ids)) for name, ids in fits.items() if len(ids) == 1}
    times = Counter(found.values())
    own = set(known)
    return {name: id_ for name, id_ in found.items() if (name, id_) in own or times[id_] == 1}


class Index:
    """Pictures by what they are called, all names spelled one way."""

    def __init__(self, known: Sequence[tuple[str, str]], spelled: Callable[[str], str]) -> None:
        self._spelled = spelled
        self._names = {spelled(name) for name, _ in known}
        self._whole: dict[str, set[str]] = defaultdict(set)
        self._called: dict[str, set[str]] = defaultdict(set)  # the same, own drawings without their folder too
        self._parts: dict[str, set[str]] = defaultdict(set)
        for name, id_ in known:
            for form in {spelled(name), spelled(_without_suffix(name))}:
                self._whole[form].add(id_)
                folder, _, inside = form.partition("/")
                for called in {form, inside if folder in OWN_FOLDERS else form}:
                    self._called[called].add(id_)
                for ending in _endings(form):
                    self._parts[ending].add(id_)

    def find(self, name: str, likely: Set[str]) -> Set[str]:
        """The ids of the pictures that it fits; where it fits others too, of the `likely` ones."""
        whole, *shorter = _endings(self._spelled(name))
        if whole in self._names:
            own = self._whole[whole]
            return own & likely or self._called[whole] & likely or own
        found: Set[str] = next((ids for ids in (self._parts.get(whole), *map(self._called.get, shorter)) if ids), set())
        return found & likely or found


def folded(name: str) -> str:
    """As names are looked for that nothing is called just so: other tools write other letters or the other Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()


def _uploaded(name: str) -> str:
    """By the rule of Django's get_valid_filename."""
    return "/".join(re.sub(r"[^-\w.]", "", part.strip().replace(" ", "_")) for part in folded(name).split("/"))


def _endings(name: str) -> list[str]:
    """`a/b/c` -> itself, `b/c`, `c`."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _without_suffix(name: str) -> str:
    """Only the suffixes of pictures are some: `1.5` stays."""
    return name[: -len(suffix)] if (suffix := PurePosixPath(name).suffix).lower() in SUFFIXES else name
