"""Train, val or test by content: a picture keeps its split whatever else is in the data set.

Test pictures stay the same whatever `val` is, so that no older model has learned from them.
"""


def split_of(picture_id: str, val: float, test: float) -> str:
    """`picture_id` is a sha256; `val` and `test` are shares."""
    place = int(picture_id[:13], 16) / 16**13
    return "test" if place < test else "val" if place < test + val else "train"
