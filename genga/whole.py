"""A file that others read holds all of the old or all of the new, also when its writer is killed."""

from pathlib import Path

NAMED = 50  # letters of the file's name in that of its draft: it may be as long as a name can be


def write_whole(path: Path, data: str | bytes) -> None:
    partial = path.with_name(path.name[:NAMED] + ".partial")
    try:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
