"""Quick benches end in their numbers: on sets that are too small to measure anything."""

import time
from pathlib import Path

import numpy as np
import pytest

from bench import figures_memory, label_studio, nearest, tag_speed
from genga.params import DrawFigures, LabelStudioParams
from labeling.account import Home
from labeling.keypoints import JsonObject
from labeling.pictures import Entry
from labeling.projects import KINDS, Project
from labeling.push import Guesses
from labeling.tasks import prediction


def test_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, count in {"COUNT": 2000, "QUERIES": 20, "ASKED_AGAIN": 200}.items():
        monkeypatch.setattr(nearest, name, count)
    monkeypatch.setattr("sys.argv", ["nearest"])
    nearest.main()
    assert "nearest: 100.00 % of 200 answers are those of brute force" in capsys.readouterr().out


def test_figures_memory_measures_both_kinds_of_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = list[tuple[int, int]]()

    def draw(params: DrawFigures, *_: Path) -> None:
        drawn.append((params.sticks.count, params.mannequins.count))
        time.sleep(0.3)  # while the memory is read

    monkeypatch.setattr(figures_memory, "draw_figures", draw)
    monkeypatch.setattr(figures_memory, "EVERY", 0.01)
    monkeypatch.setattr("sys.argv", ["figures_memory", "2000", "30"])
    figures_memory.main()
    said = capsys.readouterr().out.splitlines()
    assert drawn == [(2000, 1), (1, 30)]
    assert "2,000 stick figures of 128 px" in said[0] and "30 mannequins of 600 px" in said[2]
    assert all("GB at most, promised < 1" in line and "held 0.00 GB" not in line for line in said[1::2])


def test_label_studio_pushes_guesses_of_both_kinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pushed = dict[str, list[JsonObject]]()

    def push(_client: object, project: Project, _home: Home, entries: list[Entry], guesses: Guesses, *_: object, queue: bool) -> None:
        (guess,) = guesses.make([entries[0].read()])
        assert guess and queue and len(entries) == 3
        pushed[project.kind.name] = prediction(guess, 128, 128, guesses.version)["result"]

    monkeypatch.setattr(label_studio, "COUNT", 3)
    monkeypatch.setattr(label_studio, "push", push)
    monkeypatch.setattr(label_studio, "ensure_project", lambda _client, url, kind, *_: Project(1, kind, url))
    params = LabelStudioParams(port=8090, backend_port=8091, batch_size=500, annotators_per_task=1, tags_per_picture=4)
    for kind in KINDS:
        label_studio.seconds_to_push(kind, None, "", Home(tmp_path), params, np.random.default_rng(0))
    scored = [region for region in pushed["poses"] if "score" in region]
    assert len(scored) == 11 and len(pushed["tags"]) == 1


def test_tag_speed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tag_speed, "COUNT", 1000)
    monkeypatch.setattr(tag_speed, "ROUNDS", 1)
    monkeypatch.setattr("sys.argv", ["tag_speed"])
    tag_speed.main()
    assert "pictures/s of 64 px" in capsys.readouterr().out
