"""Commands over the registry: promote, rollback. A changed champion is deployed at once."""

import getpass
import subprocess
import sys
from pathlib import Path

from genga.params import load_params
from genga.registry import Promotion, Registry

GATE, RELEASE = Path("data/registry/gate.json"), Path("release")


def promote(family: str, version: int, why: str) -> None:
    _take_effect(Registry().promote(family, str(version), getpass.getuser(), why))


def rollback(family: str, why: str) -> None:
    _take_effect(Registry().rollback(family, getpass.getuser(), why))


def _take_effect(entry: Promotion) -> None:
    from stages.deploy import deploy

    release = deploy(load_params().deploy, GATE, RELEASE, Registry())
    # the graph wrote the release before; tell DVC that this one is wanted
    subprocess.run([sys.executable, "-m", "dvc", "commit", "--quiet", "--force", "deploy"], check=True)
    print(f"{entry.family}: version {release.families[entry.family].version} is champion and deployed; a running server takes it over by itself")
