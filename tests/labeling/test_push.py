"""A push into a project in which somebody works by hand, too; the rest of it is tested against the real Label Studio."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from genga.params import load_params
from labeling.account import Home
from labeling.pictures import Entry
from labeling.projects import KINDS, Project
from labeling.push import Pushed, present, push
from labeling.tasks import asking

TAGS = Project(1, KINDS["tags"], "")


def label_studio(created: list[Any], *there: dict[str, Any]) -> Any:
    """Nobody has answered anything; tasks are listed and created, and a change of one fails."""
    untouched = {"total_annotations": 0, "cancelled_annotations": 0, "predictions_model_versions": ""}
    tasks = [SimpleNamespace(id=number, data=data, **untouched) for number, data in enumerate(there)]
    projects = SimpleNamespace(import_tasks=lambda _, request, **__: created.extend(task["data"] for task in request))
    return SimpleNamespace(tasks=SimpleNamespace(list=lambda query=None, **_: [] if query else tasks), projects=projects)


@pytest.mark.parametrize("odd", [{"queue": "first"}, {"queue": 7}, {"asks": None}, {"asks": 5}, {"asks": [["glasses"]]}, {"id": 5}])
def test_a_task_that_somebody_added_by_hand_is_left_as_it_is_and_stops_no_queue(tmp_path: Path, odd: dict[str, Any]) -> None:
    ours, by_hand = ({"id": letter * 64, "image": "x.png", **asking(["glasses"])} for letter in "ab")
    client = label_studio(created := [], ours | {"queue": "00003-999999"}, by_hand | odd)
    assert list(present(client, TAGS)) == ["a" * 64]
    (Home(tmp_path).pictures / "tags").mkdir(parents=True)
    wanted = Entry("b" * 64, partial(np.zeros, (8, 8, 3), np.uint8))
    assert push(client, TAGS, Home(tmp_path), [wanted], None, load_params().label_studio, queue=True) == Pushed(1, 0, 0)
    assert [(data["id"], data["queue"]) for data in created] == [("b" * 64, "00004-999999")]
