"""Commands over the registry: promote, rollback, veto. A changed champion is deployed at once; a version that could not be is not recorded."""

import subprocess
import sys

from flows.standing import GATE, RELEASE
from genga.errors import GengaError, RegistryError, ReleaseError
from genga.params import load_params
from genga.registry import Promotion, Registry, user
from genga.release import read_document

STOPPED = (KeyboardInterrupt, SystemExit)  # Ctrl-C, and SIGTERM as genga/door.py has it


def promote(family: str, version: int, why: str) -> None:
    registry = _registry()
    _check(family, str(version), registry)
    turned_down = registry.vetoed(family).get(str(version))
    promotion = registry.promote(family, str(version), user(), why)
    if turned_down:
        how = "vetoed" if turned_down.kind == "veto" else "turned down"
        print(f"{family}: version {version} was {how} by {turned_down.who}: {turned_down.why}; this promotion lifts that")
    _take_effect(promotion, registry)


def rollback(family: str, why: str) -> None:
    registry = _registry()
    if number := _undeployed(family, registry):
        _check(family, number, registry)
        print(
            f"{family}: the rollback to version {number} was stopped before it was deployed; that is done now and nothing goes back further, "
            f"which `genga promote {family} N` can"
        )
        _take_effect(registry.promote(family, number, user(), why), registry)
        return
    before = registry.before_champion(family)
    if (line := registry.vetoed(family).get(before)) and line.kind == "veto":
        raise RegistryError(
            f"{family} version {before}, where a rollback goes, was vetoed by {line.who}: {line.why}; name a version with `genga promote {family} N`"
        )
    _check(family, before, registry)
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


def _undeployed(family: str, registry: Registry) -> str | None:
    """The champion, where a rollback made it that and the release still serves the version before: that rollback was killed on its way."""
    record = [line for line in registry.history(family) if line.kind != "veto"]
    if not record or record[-1].kind != "rollback" or record[-1].was is None:
        return None
    try:
        served = read_document(RELEASE)["families"].get(family, {}).get("files")
    except ReleaseError:
        return None
    return record[-1].to if served == registry.version(family, record[-1].was).files else None


def _take_effect(entry: Promotion, registry: Registry) -> None:
    from stages.deploy import deploy

    try:
        release = deploy(load_params().deploy, GATE, RELEASE, registry)
    except (GengaError, OSError, *STOPPED) as error:
        raise RegistryError(
            f"{entry.family} version {entry.to} is champion but not deployed ({_reason(error)}); "
            f"mend that, then say `genga promote {entry.family} {entry.to} --why deployed`, which adds nothing to the record and deploys it"
        ) from error
    # the graph wrote the release before; tell DVC that this one is wanted
    commit = [sys.executable, "-m", "dvc", "commit", "--quiet", "--force", "deploy"]
    try:
        failed, why = subprocess.run(commit).returncode, "its words stand above"
    except STOPPED as error:
        failed, why = 1, _reason(error)
    if failed:
        raise RegistryError(
            f"{entry.family} version {entry.to} is champion and deployed, but DVC did not take note of it ({why}); "
            "once no other `genga repro` runs, say `dvc commit --force deploy`, or the next repro deploys once more"
        )
    print(f"{entry.family}: version {release.families[entry.family].version} is champion and deployed; a running server takes it over by itself")


def _reason(error: BaseException) -> str:
    return "it was told to stop" if isinstance(error, STOPPED) else str(error)
