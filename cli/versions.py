"""Commands over the registry: promote, rollback, veto. A changed champion is deployed at once; what could not be is not recorded."""

import subprocess
import sys
from pathlib import Path

from genga.errors import GengaError, RegistryError
from genga.params import load_params
from genga.registry import Promotion, Registry, user

GATE, RELEASE = Path("data/registry/gate.json"), Path("release")


def promote(family: str, version: int, why: str) -> None:
    registry = _registry()
    _check(family, str(version), registry)
    _take_effect(registry.promote(family, str(version), user(), why), registry)


def rollback(family: str, why: str) -> None:
    registry = _registry()
    _check(family, registry.before_champion(family), registry)
    _take_effect(registry.rollback(family, user(), why), registry)


def veto(family: str, version: int, why: str) -> None:
    _registry().veto(family, str(version), user(), why)
    print(f'{family}: the gate will not make version {version} champion; `genga promote {family} {version} --why "..."` lifts that')


def _registry() -> Registry:
    load_params()  # outside the project this stops here, before a store is made
    return Registry()


def _check(family: str, number: str, registry: Registry) -> None:
    from stages.deploy import check

    check(family, number, GATE, registry)


def _take_effect(entry: Promotion, registry: Registry) -> None:
    from stages.deploy import deploy

    try:
        release = deploy(load_params().deploy, GATE, RELEASE, registry)
    except (GengaError, OSError) as error:
        raise RegistryError(
            f"{entry.family} version {entry.to} is champion but not deployed ({error}); "
            f"mend that, then say `genga promote {entry.family} {entry.to} --why deployed`, which adds nothing to the record and deploys it"
        ) from error
    # the graph wrote the release before; tell DVC that this one is wanted
    commit = [sys.executable, "-m", "dvc", "commit", "--quiet", "--force", "deploy"]
    if subprocess.run(commit).returncode:
        raise RegistryError(
            f"{entry.family} version {entry.to} is champion and deployed, but DVC did not take note of it (its words stand above); "
            "once no other `genga repro` runs, say `dvc commit --force deploy`, or the next repro deploys once more"
        )
    print(f"{entry.family}: version {release.families[entry.family].version} is champion and deployed; a running server takes it over by itself")
