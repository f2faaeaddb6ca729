"""The tags: read once from tags.yaml, the same list for labels, taggers, sliders and the page.

A label set is a plain dict {group or flag: value}: {"hair_color": "blue", "glasses": True}. What is not in it is unknown.
A column is one output of the tagger, named `hair_color=blue` or `glasses`; `columns()` has them in order.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, Self

import yaml

from genga.errors import DataError, OtherTagsError, ParamsError

Labels = dict[str, str | bool]

# who said so, the most trusted first
ORIGINS = ("human", "imported", "drawn")

PROJECT_GROUP = "hair_color"  # by this question labeling/projects.py knows the project of tags
YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class Told(NamedTuple):
    """What tables tell of one picture: what they say, and `unnamed`, the flags that a list of its tags leaves out: a no where nothing says yes."""

    said: Labels
    unnamed: Labels

    def over(self, other: Self) -> "Told":
        """Where the two say different things, this one is right."""
        return Told(other.said | self.said, other.unnamed | self.unnamed)

    @property
    def labels(self) -> Labels:
        return self.unnamed | self.said


NOTHING = Told({}, {})


@dataclass(frozen=True)
class Vocabulary:
    """How another vocabulary's columns and words translate into ours."""

    name: str
    columns: dict[str, str]
    words: dict[str, str]

    def translate(self, row: dict[str, str]) -> Told:
        """One CSV row. Words we have no tag for are left out: unknown, not false.

        A column mapped to "*" holds many words, separated by commas or else by spaces: where one is a tag of ours, the flags that it does not name
        are unnamed. Another column holds one value of its group, or yes or no for its flag.
        In a row of `genga tag`, whose `version` is a tagger's, nothing is unnamed, as the tagger may have been unsure, and numbers are probabilities.
        """
        of_tagger = (row.get("version") or "").strip().startswith("tagger/")
        told = Told({}, {})
        for column, group in self.columns.items():
            text = (row.get(column) or "").strip().lower()
            if group == "*":
                listed = self._listed(["_".join(word.split()) for word in text.split(",")] if "," in text else text.split())
                told = told.over(Told(listed.said, {}) if of_tagger else listed)
            elif text and not (of_tagger and text.isdecimal()):
                word = text.replace(" ", "_").replace("-", "_")
                value = self._value(group, word) if group in groups() else YES_NO.get(word)
                if value is not None:
                    told.said[group] = value
        return told

    def _value(self, group: str, word: str) -> str | None:
        """A value of the group as we call it goes first. `blue_hair` is a `blue` of hair_color, `red_eyes` a `red` of eye_color."""
        bare = re.sub(f"_{group.partition('_')[0]}s?$", "", word)
        named = (value for name in (word, bare) for value in (name, self.words.get(name)) if value in groups()[group])
        return next(named, None)

    def _listed(self, words: Sequence[str]) -> Told:
        """`light_blue_hair` is another colour than the `blue_hair` beside it, while a `light_blush` is a `blush` too.
        Of a group of which several values are left none is taken."""
        exact = [word for word in words if "=" not in self.words.get(word, "") or not any(other.endswith(f"_{word}") for other in words)]
        found = sorted({target for word in exact for target in self.words.get(word, "").split()})
        if not found:
            return NOTHING
        named: dict[str, list[str | bool]] = {}
        for target in found:
            for name, value in labels_of(target).items():
                named.setdefault(name, []).append(value)
        known = {target for several in self.words.values() for target in several.split()}
        unnamed: Labels = {flag: False for flag in flags() if flag in known and flag not in named}
        return Told({name: values[0] for name, values in named.items() if len(values) == 1}, unnamed)


@cache
def _document() -> dict[str, Any]:
    return parse_document(files("genga").joinpath("tags.yaml").read_text(encoding="utf-8"))


def parse_document(text: str) -> dict[str, Any]:
    """What tags.yaml says, or DataError naming the first line of it that leads nowhere: everything else takes it as it is."""
    try:
        document: dict[str, Any] = yaml.safe_load(text)
        fault = next(_faults(document), None)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"genga/tags.yaml cannot be read ({' '.join(str(error).split())}), expected sections as git has them; correct it") from error
    if fault:
        raise DataError(f"genga/tags.yaml: {fault}")
    return document


def _faults(document: Mapping[str, Any]) -> Iterator[str]:
    values: dict[str, list[str]] = document["groups"]
    names = [*values, *document["flags"]]
    for line, words in {"groups": list(values), **values, "flags": document["flags"], "groups and flags": names}.items():
        if wrong := [word for word in words if not isinstance(word, str) or not re.fullmatch(r"[^\s=]+", word)]:
            yield f"{line}: {wrong[0]!r} is no word without spaces and =; write another, or put quotes around what YAML takes for something else"
        if len(set(words)) < len(words):
            yield f"{line}: {max(words, key=words.count)} stands there twice; take one out"
    for group in values:
        if len(values[group]) < 2:
            yield f"groups: {group} has {len(values[group])} values, expected 2 or more; add some, or make it a flag"
    if PROJECT_GROUP not in values:
        yield f"groups: {PROJECT_GROUP} is gone, by which labeling/projects.py knows Genga's project in Label Studio; put it back"
    for name in document["ordered"]:
        if name not in values:
            yield f"ordered: {name} is no group; take it out there"
    every = {value for several in values.values() for value in several}
    listed = {*document["flags"], *(f"{group}={value}" for group, several in values.items() for value in several)}
    for name, entry in document["vocabularies"].items():
        for column, target in entry["columns"].items():
            if target not in (*names, "*"):
                yield f"vocabularies: {name} has the column `{column}: {target}`, and {target} is no group and no flag; take that out"
        known = listed if "*" in entry["columns"].values() else every
        for word, targets in entry["words"].items():
            if wrong := [target for target in targets.split() if target not in known]:
                yield f"vocabularies: {name} has the word `{word}: {targets}`, and {wrong[0]} is no tag; take that out, or add the tag"


@cache
def groups() -> dict[str, list[str]]:
    """One-of groups in order: name -> its values."""
    return {name: list(values) for name, values in _document()["groups"].items()}


@cache
def flags() -> list[str]:
    """Yes/no tags in order."""
    return list(_document()["flags"])


@cache
def ordered() -> list[str]:
    """Groups whose values run from less to more, such as hair_length."""
    return list(_document()["ordered"])


@cache
def columns() -> list[str]:
    """The tagger's outputs in order: every value of every group as `group=value`, then the flags."""
    return [f"{group}={value}" for group, values in groups().items() for value in values] + flags()


@cache
def column_slices() -> dict[str, slice]:
    """Group or flag -> its columns. A group is read with softmax over its slice, a flag with a sigmoid."""
    slices, start = {}, 0
    for name, values in groups().items():
        slices[name] = slice(start, start + len(values))
        start += len(values)
    for name in flags():
        slices[name] = slice(start, start + 1)
        start += 1
    return slices


def labels_of(column: str) -> Labels:
    """`hair_color=blue` -> {"hair_color": "blue"}; `glasses` -> {"glasses": True}."""
    name, _, value = column.partition("=")
    return {name: value or True}


def check(labels: Labels) -> Labels:
    """The same labels, or DataError naming the first one that is not in tags.yaml."""
    for name, value in labels.items():
        if name in groups():
            if value not in groups()[name]:
                raise DataError(f"{name} is {value!r}, expected one of {', '.join(groups()[name])}; add it to genga/tags.yaml or correct the label")
        elif name not in flags():
            raise DataError(f"unknown tag {name!r}, expected one of {', '.join([*groups(), *flags()])}; add it to genga/tags.yaml or drop the label")
        elif not isinstance(value, bool):
            raise DataError(f"{name} is {value!r}, expected true or false; correct the label")
    return labels


def check_column(name: str, key: str) -> None:
    """ParamsError where the value of this key of params.yaml is no column."""
    if name not in columns():
        raise ParamsError(f"{key} is {name!r}, expected one of {', '.join(columns())}; correct it in params.yaml")


def check_tagger(card: Mapping[str, Any], name: str) -> None:
    """OtherTagsError where this code cannot use the tagger of this card. Ask before its network is loaded, whose shapes follow from the tags."""
    if card.get("columns") != columns() or "sure" not in card:
        raise OtherTagsError(
            f"{name} was trained for another list of tags than genga/tags.yaml has now, or by older code; train and deploy again with `genga repro`"
        )


@cache
def vocabularies() -> dict[str, Vocabulary]:
    """Ours first: its columns are called as our groups and flags are, and hold their values."""
    ours = Vocabulary("genga", {name: name for name in (*groups(), *flags())}, {})
    return {ours.name: ours} | {name: Vocabulary(name, entry["columns"], entry["words"]) for name, entry in _document()["vocabularies"].items()}


def vocabularies_for(header: Sequence[str]) -> list[Vocabulary]:
    """Those that read any of a CSV's columns, the one that reads most first, of equal ones the first listed."""
    names = {name.strip().lower() for name in header}
    found = [vocabulary for vocabulary in vocabularies().values() if names & vocabulary.columns.keys()]
    return sorted(found, key=lambda vocabulary: -len(names & vocabulary.columns.keys()))


def translate(known: Sequence[Vocabulary], row: dict[str, str]) -> Told:
    """One CSV row. Where vocabularies tell different things of a tag, the first is right."""
    told = NOTHING
    for vocabulary in known:
        told = told.over(vocabulary.translate(row))
    return told
