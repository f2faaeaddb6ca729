"""What DVC cannot see, looked at before it runs: whether the registry holds what registered.json names, and whether the champions are deployed.

As flows/turns.py, this imports no Prefect.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.turns import start_repro
from genga.documents import read_json
from genga.door import ending_with_us
from genga.errors import DataError, ReleaseError
from genga.registry import Registry
from genga.release import read_document

REGISTERED, GATE, RELEASE = Path("data/registry/registered.json"), Path("data/registry/gate.json"), Path("release")
STAGES = {"register", "gate", "deploy"}


def settle(targets: list[str], say: Callable[[str], object]) -> None:
    """`targets`: stages that the graph is run up to; none means all. Call it in our turn."""
    if targets and STAGES.isdisjoint(targets):
        return
    registry = Registry()
    if missing := unregistered(registry):
        say(f"the registry at {registry.uri} does not hold what {REGISTERED} names of {', '.join(missing)}: all is registered there and judged again")
        for path in (REGISTERED, GATE):  # DVC never restores these two, so it runs their stages
            path.unlink(missing_ok=True)
    elif waiting := undeployed(registry):
        say(f"{', '.join(waiting)}: the release is not what the champion is, perhaps since a promotion was killed; it is deployed now")
        _deploy(say)


def unregistered(registry: Registry) -> list[str]:
    """Families of which the registry has no such version, or another model by that number."""
    return [
        family
        for family, entry in _read(REGISTERED).items()
        if all((version.number, version.sha256) != (entry["version"], entry["sha256"]) for version in registry.versions(family))
    ]


def undeployed(registry: Registry) -> list[str]:
    """Families of which the release, where there is one, serves something else than the champion."""
    try:
        served = read_document(RELEASE)["families"]
    except ReleaseError:  # none, or a damaged one: DVC sees that
        return []
    champions = {family: registry.champion(family) for family in _read(GATE)}
    return [family for family, champion in champions.items() if champion and served.get(family, {}).get("files") != champion.files]


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except DataError:  # as for the release
        return {}


def _deploy(say: Callable[[str], object]) -> None:
    """What cannot be deployed leaves the release as it is, and stops nothing else."""
    with start_repro("--force", "--single-item", "deploy", stderr=subprocess.STDOUT) as process, ending_with_us(process.pid, BaseException):
        assert process.stdout is not None
        said = [line.strip() for line in process.stdout if line.strip()]
    if process.returncode:
        why = next((line for line in said if line.startswith("error: ")), said[-1] if said else "no reason was given")
        say(f"that failed ({why.removeprefix('error: ')}), so the release stays as it is until that is mended")
