"""JSON files between stages: the same document gives the same bytes."""

import json
from pathlib import Path
from typing import Any

from genga.errors import DataError


def read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); make it again with `dvc repro`") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds a JSON {type(document).__name__}, expected an object; make it again with `dvc repro`")
    return document


def is_json(data: bytes) -> bool:
    """Whether this is one document, whole."""
    try:
        json.loads(data.decode())
    except (ValueError, RecursionError):
        return False
    return True


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
