"""Numbers are held against each other only where they were measured alike.

A protocol says how a family's numbers came about: how many samples, from which seed, against which pictures. Where several extractors looked at the
pictures, `extractors` holds what is each one's own; `edges/kid` is a number of the extractor `edges`, `kid` one of the tagger's.
"""

from collections.abc import Mapping
from typing import Any

from genga.registry import flatten

TAGGER = "tagger"
SHOWN = 12  # characters of a value, enough of a hash


def protocol_of(metric: str, protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside one number: without the extractors that did not make it."""
    common = {name: value for name, value in protocol.items() if name != "extractors"}
    extractors = protocol.get("extractors", {})
    prefix = metric.partition("/")[0]
    name = prefix if prefix in extractors else TAGGER
    return common | ({name: extractors[name]} if name in extractors else {})


def difference(metric: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what two protocols of this number differ, in words; empty where the number can be compared."""
    ours, theirs = (flatten(protocol_of(metric, protocol)) for protocol in (one, other))
    if not ours and not theirs:
        return "how they were measured is not said"
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name} {_short(ours.get(name))} against {_short(theirs.get(name))}" for name in names)


def _short(value: str | None) -> str:
    return "not said" if value is None else value if len(value) <= SHOWN or " " in value else value[:SHOWN]
