"""A file that others read holds all of the old or all of the new, also when its writer is killed."""

from pathlib import Path


def write_whole(path: Path, data: str | bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    partial.replace(path)
