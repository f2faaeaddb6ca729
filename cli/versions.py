"""Commands over the registry: compare, promote, rollback. A changed champion is deployed at once."""

import getpass
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from genga.errors import RegistryError
from genga.params import load_params
from genga.registry import Promotion, Registry, Version

GATE, RELEASE = Path("data/registry/gate.json"), Path("release")


def _show(title: str, versions: list[Version], champions: set[tuple[str, str]]) -> None:
    """One row per version, one column per number that any of them has."""
    metrics = sorted({name for version in versions for name in version.metrics})
    table = Table("family", "version", "", *metrics, "data", "commit", title=title)
    for version in versions:
        is_champion = (version.family, version.number) in champions
        numbers = [f"{version.metrics[name]:.4g}" if name in version.metrics else "" for name in metrics]
        facts = [version.facts.get(name, "")[:8] for name in ("data_id", "git_commit")]
        table.add_row(version.family, version.number, "champion" if is_champion else "", *numbers, *facts)
    console = Console()
    console.width = max(console.width, 160)
    console.print(table)


def compare(family: str | None) -> None:
    registry = Registry()
    families = registry.families()
    if not families or (family and family not in families):
        raise RegistryError(
            f"{family or 'the registry'} has no version, registered are: {', '.join(families) or 'none'}; run `genga repro` to register some"
        )
    champions = [champion for name in families if (champion := registry.champion(name))]
    known = {(champion.family, champion.number) for champion in champions}
    if family:
        _show(f"versions of {family}", registry.versions(family), known)
        for entry in registry.history(family):
            print(f"{entry.when[:19]}  {entry.kind} {entry.was or '-'} -> {entry.to} by {entry.who}: {entry.why}")
    else:
        for champion in champions:
            _show(champion.family, [champion], known)


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
