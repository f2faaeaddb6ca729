"""`genga label`: what a newcomer is told, and what is said when a piece is missing."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from cli.label import add_label_commands
from genga.door import run
from labeling.formats import Labeled, from_coco, to_label_studio


def label(*words: str) -> None:
    parser = argparse.ArgumentParser(prog="genga")
    add_label_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["label", *words])
    run(lambda: args.do(args))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    (tmp_path / "annotations").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("action", ["up", "push", "queue", "pull", "agreement", "import", "export", "open"])
def test_every_action_explains_itself_in_sentences(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        label(action, "--help")
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert len(told) > 200 and "." in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pull"], "start one with `make label-studio`"),
        (["push"], "start one with `make label-studio`"),
        (["push", "--doubtful", "x.json", "--only", "poses"], "leave one of the two out"),
        (["open"], "start one with `make label-studio`"),
        (["push", "--limit", "-1"], "--limit -1 was asked for, expected at least 1"),
        (["queue", "0"], "a queue of 0 pictures was asked for"),
        (["export", "coco", "missing/out.json"], "missing/out.json cannot be written (No such file or directory); give a file in a folder"),
        (["agreement", "--csv", "missing/d.csv"], "missing/d.csv cannot be written (No such file or directory); give a file in a folder"),
        (["import", "coco", "missing.json"], "missing.json is no coco file that we read"),
    ],
)
def test_what_is_missing_is_one_sentence_and_ends_with_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        label(*words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and message in told and told.count("\n") == 1


def test_answers_are_compared_exported_and_pulled_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pose = np.random.default_rng(0).uniform(0.1, 0.9, (11, 2))
    said = [Labeled("a" * 64, who, (100, 100), {"hair_color": colour}, pose) for who, colour in (("ann", "blue"), ("ben", "red"))]
    (tmp_path / "annotations" / "project-1.json").write_text(to_label_studio(said))
    label("agreement", "--csv", "d.csv")
    told = capsys.readouterr().out
    assert "2 people, 1 pictures" in told and "oks 1.000" in told and "hair_color" in told
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 2
    label("export", "coco", "out.json")
    assert len(from_coco((tmp_path / "out.json").read_text())) == 2
    line = {"id": "b" * 64, "at": "2026-01-01", "by": "cat", "width": 9, "height": 9, "labels": {"glasses": True}}
    (tmp_path / "annotations" / "review.jsonl").write_text(json.dumps(line) + "\n")
    label("pull", "--offline")
    assert "label revision 1" in capsys.readouterr().out
    label("pull", "--offline")
    assert "nothing new since label revision 1" in capsys.readouterr().out
