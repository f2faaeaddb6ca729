"""`genga compare`: the champions of all families, or the versions of one side by side, in numbers and in pictures from the same seeds."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.standing import GATE
from genga.documents import read_json
from genga.errors import CheckpointError, DataError, GengaError, RegistryError
from genga.params import Evaluate, load_params
from genga.protocols import difference
from genga.registry import Registry, Version

PICTURES = Path("runs/compare")
UNLIKE = "≠"  # in place of a number that was not measured like the others


def compare(family: str | None, *, again: bool) -> None:
    """`again`: every version is scored anew by the tagger and the data of today, so that all numbers can be compared."""
    params, registry = load_params().evaluate, Registry()  # outside the project this stops here, before a store is made
    if again and not family:
        raise GengaError("--again was given without a family, expected the one to score anew; run `genga compare FAMILY --again`")
    families = registry.families()
    if not families or (family and family not in families):
        raise RegistryError(
            f"{family or 'the registry'} has no version, registered are: {', '.join(families) or 'none'}; run `genga repro` to register some"
        )
    if family:
        _compare_versions(registry, params, family, again)
        return
    for name in families:
        if champion := registry.champion(name):
            _show(name, [champion], champion, {})


def _compare_versions(registry: Registry, params: Evaluate, family: str, again: bool) -> None:
    versions, champion = registry.versions(family), registry.champion(family)
    if again and not any("card.json" in version.files for version in versions):
        print(f"{family} holds no network, so its versions are never scored")
    elif again:
        versions = _scored_again(registry, params, versions)
    measured = [version for version in versions if version.metrics] or versions
    base = next((version for version in measured if champion and version.number == champion.number), measured[-1])
    unlike = {version.number: _unlike(version, base) for version in versions}
    _show(f"versions of {family}", versions, champion, unlike)
    for number, reasons in unlike.items():
        for reason in sorted(set(reasons.values())):
            metrics = ", ".join(metric for metric, why in reasons.items() if why == reason)
            print(f"version {number}: {metrics} cannot be held against those of version {base.number}: {reason}")
    if any(unlike.values()) and not again:
        print(f"`genga compare {family} --again` scores every version by one protocol")
    for entry in registry.history(family):
        print(f"{entry.when[:19]}  {entry.kind} {entry.was or '-'} -> {entry.to} by {entry.who}: {entry.why}")
    if said := _decided(family):
        print(f"the gate decided last: {said}")
    if path := _drawn(registry, params, versions):
        print(f"drawn from the same seeds in {path}")


def _decided(family: str) -> str:
    """Empty where the gate has not run, or had nothing to decide."""
    from stages.gate import Decision

    decisions = read_json(GATE) if GATE.exists() else {}
    return Decision(**decisions[family]).said() if family in decisions else ""


def _unlike(version: Version, base: Version) -> dict[str, str]:
    """metric -> why it is no number to compare; those that can be compared are left out."""
    reasons = {metric: difference(metric, base.protocol, version.protocol) for metric in version.metrics if version.number != base.number}
    return {metric: reason for metric, reason in reasons.items() if reason}


def _show(title: str, versions: list[Version], champion: Version | None, unlike: dict[str, dict[str, str]]) -> None:
    """One column per version, one row per number that any of them has: names stay whole on a narrow terminal."""
    table = Table("version", *(version.number for version in versions), title=title)
    table.add_row("", *("champion" if champion and version.number == champion.number else "" for version in versions))
    for name in sorted({name for version in versions for name in version.metrics}):
        numbers = ((UNLIKE if name in unlike.get(version.number, {}) else version.metrics.get(name)) for version in versions)
        table.add_row(name, *(f"{number:.4g}" if isinstance(number, float) else number for number in numbers))
    for fact, name in (("data", "data_id"), ("commit", "git_commit")):
        table.add_row(fact, *(version.facts.get(name, "")[:8] for version in versions))
    console = Console()
    console.width = max(console.width, console.measure(table).maximum)
    console.print(table)


def _scored_again(registry: Registry, params: Evaluate, versions: list[Version]) -> list[Version]:
    """What cannot be scored any more keeps no number."""
    from cli.judging import judge_of_today
    from models.export import read_card
    from stages.judge import New

    judge, cards = judge_of_today(params), []
    for version in versions:
        with suppress(CheckpointError, RegistryError):  # said below
            cards.append(read_card(registry.version_dir(version.family, version.number)))
    new = New.to(cards)
    scored = []
    for version in versions:
        metrics: dict[str, float] = {}
        protocol: dict[str, Any] = {}
        try:
            score = judge.score(version.family, registry.version_dir(version.family, version.number), new)
            metrics, protocol = score.metrics, score.protocol
        except (CheckpointError, DataError, RegistryError) as error:
            print(f"version {version.number} cannot be scored any more: {error}")
        scored.append(replace(version, metrics=metrics, facts=version.facts | {"protocol": json.dumps(protocol)}))
    return scored


def _drawn(registry: Registry, params: Evaluate, versions: list[Version]) -> Path | None:
    """One picture of what each version draws from the same seeds, without those that no longer load; None of families that do not draw faces."""
    from genga.pictures import encode_png
    from models.export import load_model, read_card
    from models.kinds import kind_of
    from models.metrics.sampling import Sampling
    from models.metrics.showing import side_by_side

    generators = {}
    for version in versions:
        if "card.json" not in version.files:
            continue
        try:
            folder = registry.version_dir(version.family, version.number)
            if kind_of(read_card(folder)) == "face":
                generators[f"version {version.number}"] = load_model(folder)[0]
        except (CheckpointError, RegistryError) as error:
            print(f"version {version.number} cannot be drawn any more: {error}")
    if not generators:
        return None
    path = PICTURES / f"{versions[0].family}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(side_by_side(generators, Sampling(params.samples, params.seed, params.batch_size))))
    return path
