from typing import Any

from genga.protocols import difference, protocol_of

TAGGER, EDGES = {"sha256": "a" * 64, "resize": "bilinear"}, {"sha256": "e" * 64, "resize": "area"}
PROTOCOL: dict[str, Any] = {"samples": 1000, "seed": 0, "extractors": {"tagger": TAGGER, "edges": EDGES}}


def changed(**values: Any) -> dict[str, Any]:
    return PROTOCOL | values


def test_a_number_has_the_protocol_of_the_extractor_that_made_it() -> None:
    assert protocol_of("kid", PROTOCOL) == {"samples": 1000, "seed": 0, "tagger": TAGGER}
    assert protocol_of("edges/kid", PROTOCOL) == {"samples": 1000, "seed": 0, "edges": EDGES}
    assert protocol_of("hair_color/accuracy", {"pictures": 20}) == {"pictures": 20}


def test_another_tagger_makes_other_numbers_of_what_it_saw_alone() -> None:
    other = changed(extractors={"tagger": TAGGER | {"sha256": "b" * 64}, "edges": EDGES})
    assert difference("kid", PROTOCOL, other) == "tagger.sha256 aaaaaaaaaaaa against bbbbbbbbbbbb"
    assert difference("edges/kid", PROTOCOL, other) == ""


def test_other_samples_or_no_protocol_at_all_are_said() -> None:
    assert difference("kid", PROTOCOL, changed(samples=5000)) == "samples 1000 against 5000"
    assert "samples 1000 against not said" in difference("kid", PROTOCOL, {})
    assert difference("kid", PROTOCOL, changed()) == ""
    assert difference("kid", {}, {}) == "how they were measured is not said"
