"""Challengers take over where the rule in params.yaml says so: champion and challenger are scored here, on the same data by the same protocol.

reads   data/registry/registered.json, data/faces/prepared/, data/faces/tagged/, data/faces/sample/, data/labels/, data/figures/, and the registry
writes  data/registry/gate.json   {family: {"champion", "challenger", "promoted", "why", "scores"}}, and the registry's record

Faces are compared by the features of this run's tagger, whoever made them; of numbers that were not measured alike, such as those of pictures of
another size, none decides, and the champion stays. A version that people rolled back from, vetoed, or left for an older one is not
promoted here again. A face generator or a tagger that learned from other pictures, of other sources, than its challenger does not stay for its
numbers: it knows other people's pictures. The same weights with other sliders or words on the card take over unscored, but not without any slider.
"""

import argparse
import logging
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from genga.documents import read_json, write_json
from genga.door import run
from genga.errors import CheckpointError, DataError, ParamsError, RegistryError
from genga.params import Evaluate, GateRule, load_params
from genga.progress import progress
from genga.protocols import difference
from genga.registry import GATE, Registry, Version
from models.export import Card, read_card
from models.kinds import kind_of
from models.metrics.scores import Score
from stages.judge import Data, Judge, New, NoneHeldOut

log = logging.getLogger(__name__)
ALREADY = "it is champion already"
BOUND_TO_PICTURES = ("face", "tagger")  # with other sources these do another job, whatever their numbers


@dataclass(frozen=True)
class Decision:
    """`champion`: who is after it; None while nobody may be. `scores`: of the rule's metric, where both were scored."""

    champion: str | None
    challenger: str
    promoted: bool
    why: str
    scores: dict[str, float] = field(default_factory=dict)

    def said(self) -> str:
        """The decision in words; empty where nothing was to be decided."""
        if self.why == ALREADY:
            return ""
        if self.promoted:
            return f"version {self.challenger} takes over: {self.why}"
        stays = f"version {self.champion} stays" if self.champion else "there is no champion"
        return f"{stays} and version {self.challenger} does not take over: {self.why}"


def gate(rules: dict[str, GateRule], params: Evaluate, registered_path: Path, data: Data, gate_path: Path, registry: Registry) -> None:
    registered = read_json(registered_path)
    for family, entry in registered.items():
        if registry.version(family, entry["version"]).sha256 != entry["sha256"]:
            raise RegistryError(
                f"{family} version {entry['version']} in the registry at {registry.uri} is another model than the one that {registered_path} names; "
                "run `genga repro`, which registers that one there"
            )
    challengers = {family: entry["version"] for family, entry in registered.items()}
    contest = Contest(rules, params, data, challengers, registry)
    decisions = {}
    for family in progress(sorted(challengers), what="gate", unit="families"):
        decision = settled(contest, family, registry)
        if decision.promoted:
            registry.promote(family, decision.challenger, GATE, decision.why)
        decisions[family] = decision
    for family, decision in decisions.items():  # after the moving bar, not into it
        if said := decision.said():
            log.info("gate: %s: %s", family, said)
    write_json(gate_path, {family: asdict(decision) for family, decision in decisions.items()})


def settled(contest: "Contest", family: str, registry: Registry) -> Decision:
    """Scoring takes a while: where people promoted or vetoed meanwhile, decided once more."""
    while True:
        record = registry.history(family)
        decision = contest.decide(family)
        if registry.history(family) == record:
            return decision


class Contest:
    def __init__(self, rules: dict[str, GateRule], params: Evaluate, data: Data, challengers: dict[str, str], registry: Registry) -> None:
        self._rules, self._params, self._data = rules, params, data
        self._challengers, self._registry = challengers, registry

    def decide(self, family: str) -> Decision:
        challenger, champion = self._challengers[family], self._registry.champion(family)
        champion_number = champion.number if champion else None
        if champion_number == challenger:
            return Decision(challenger, challenger, False, ALREADY)
        if line := self._registry.vetoed(family).get(challenger):
            return Decision(champion_number, challenger, False, f"turned down by {line.who}: {line.why}")
        if champion is None:
            return Decision(challenger, challenger, True, "the first version")
        if family not in self._rules:
            return Decision(challenger, challenger, True, "the newest version: params.yaml has no gate rule for this family")
        return self._compare(family, champion)

    def _compare(self, family: str, champion: Version) -> Decision:
        challenger = self._challengers[family]
        challenger_dir = self._registry.version_dir(family, challenger)
        champion_dir = self._registry.version_dir(family, champion.number)
        cards = read_card(champion_dir), read_card(challenger_dir)
        if cards[0]["weights_sha256"] == cards[1]["weights_sha256"]:  # all numbers are equal
            if num_sliders(champion_dir) and not num_sliders(challenger_dir):
                why = f"it has the weights of version {champion.number} and no slider, where that has {num_sliders(champion_dir)}"
                return Decision(champion.number, challenger, False, f"{why}; `genga promote` takes it all the same")
            return Decision(challenger, challenger, True, f"the same weights as version {champion.number}, with other sliders or words")
        if reason := beyond_compare(*cards):
            return Decision(challenger, challenger, True, f"version {champion.number} {reason}")
        new = New.to(cards)
        try:
            ours = self._score(family, challenger_dir, new)
        except NoneHeldOut as error:
            return Decision(champion.number, challenger, False, f"{error}, so no number decides; `genga promote` does")
        try:
            theirs = self._score(family, champion_dir, new)
        except (CheckpointError, DataError) as error:
            return Decision(challenger, challenger, True, f"version {champion.number} cannot be scored any more: {error}")
        rule = self._rules[family]
        if reason := difference(rule.metric, ours.protocol, theirs.protocol):
            why = f"{rule.metric} of version {champion.number} was not measured alike ({reason}), so no number decides; `genga promote` does"
            return Decision(champion.number, challenger, False, why)
        scores = {"challenger": ours.metrics[rule.metric], "champion": theirs.metrics[rule.metric]}
        better, why = verdict(rule, **scores)
        return Decision(challenger if better else champion.number, challenger, better, f"{why} version {champion.number}", scores)

    def _score(self, family: str, model_dir: Path, new: New) -> Score:
        score = self._judge.score(family, model_dir, new)
        metric = self._rules[family].metric
        if metric not in score.metrics:
            raise ParamsError(
                f"params.yaml: gate.{family}.metric is {metric}, expected one of {', '.join(score.metrics)}; correct it there and run again"
            )
        return score

    @cached_property
    def _judge(self) -> Judge:
        tagger_dir, figure_pose_dir = (self._registry.version_dir(family, self._challengers[family]) for family in ("tagger", "figure-pose"))
        return Judge(self._params, self._data, tagger_dir, figure_pose_dir)


def num_sliders(model_dir: Path) -> int:
    path = model_dir / "directions.json"
    return len(read_json(path)["sliders"]) if path.is_file() else 0


def verdict(rule: GateRule, challenger: float, champion: float) -> tuple[bool, str]:
    gain = (challenger - champion) * (1 if rule.better == "higher" else -1)
    found = f"{rule.metric} {challenger:.4g} against {champion:.4g} of"
    if math.isnan(challenger):
        return False, found
    return bool(math.isnan(champion) or gain >= rule.min_gain), found


def beyond_compare(champion: Card, challenger: Card) -> str:
    """Why numbers do not decide between these two; empty where they do."""
    if kind_of(champion) != kind_of(challenger) or champion.get("tag") != challenger.get("tag"):
        return f"is for something else: {champion.get('tag', kind_of(champion))}"
    theirs, ours = champion["data"], challenger["data"]
    others = theirs["id"] != ours["id"] and not set(theirs["sources"]) & set(ours["sources"])  # a source that is only called otherwise is the same
    if kind_of(champion) in BOUND_TO_PICTURES and others:
        return f"learned from other pictures: {', '.join(sorted(theirs['sources']))}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("registered_path", "faces_dir", "tagged_dir", "sample_dir", "labels_dir", "figures_dir", "gate_path"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    data = Data(args.faces_dir, args.tagged_dir, args.sample_dir, args.labels_dir, args.figures_dir)
    gate(load_params().gate, load_params().evaluate, args.registered_path, data, args.gate_path, Registry())


if __name__ == "__main__":
    run(main)
