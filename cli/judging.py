"""The judge of today: the data and the networks that the graph made last."""

from pathlib import Path

from genga.params import Evaluate
from stages.judge import Data, Judge

PREPARED = Path("data/faces/prepared")


def judge_of_today(params: Evaluate) -> Judge:
    data = Data(PREPARED, Path("data/faces/tagged"), Path("data/faces/sample"), Path("data/labels"), Path("data/figures"))
    return Judge(params, data, Path("weights/tagger"), Path("weights/figure-pose"))
