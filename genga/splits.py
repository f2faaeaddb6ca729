"""Train, val or test by content: a picture keeps its split whatever else is in the data set."""


def split_of(picture_id: str, val: float, test: float) -> str:
    """`picture_id` is a sha256; `val` and `test` are shares."""
    place = int(picture_id[:13], 16) / 16**13
    return "val" if place < val else "test" if place < val + test else "train"
