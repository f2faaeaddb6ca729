import hashlib

from genga.splits import split_of

IDS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(4000)]


def of(split: str, val: float, test: float) -> set[str]:
    return {id_ for id_ in IDS if split_of(id_, val, test) == split}


def test_a_split_has_its_share() -> None:
    assert abs(len(of("val", 0.1, 0.2)) - 400) < 60 and abs(len(of("test", 0.1, 0.2)) - 800) < 80


def test_test_pictures_stay_whatever_val_is() -> None:
    """An older model would otherwise be scored on what it has learned."""
    assert of("test", 0.08, 0.1) == of("test", 0.16, 0.1) == of("test", 0, 0.1)


def test_a_larger_test_split_takes_from_val_first() -> None:
    assert of("test", 0.1, 0.1) < of("test", 0.1, 0.15) and not of("test", 0.1, 0.15) & of("train", 0.1, 0.1)
