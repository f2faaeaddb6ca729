"""A wrong word to a bench is one sentence and exit code 2, before anything is drawn, trained or measured."""

import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("loop_speed --family nope", "invalid choice: 'nope' (choose from 'stylegan2', "),
        ("loop_speed --rounds 0", "argument --rounds: 0 was found, expected 1 or more"),
        ("memory --count 100", "argument --count: 100 was found, expected 256 or more"),
        ("drawing_kinds x", "argument count: invalid whole value: 'x'"),
        ("import absent.zip", "no file absent.zip was found, expected a zip or tar archive of pictures; name one"),
        ("sketch_quality --invented --reader absent", "absent/card.json cannot be read"),
    ],
)
def test_a_wrong_word_is_one_sentence(words: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"bench.{words.split()[0]}"
    monkeypatch.setattr("sys.argv", words.split())
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert said.err.startswith("error: ") and sentence in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize("words", ["sketch_quality --invented", "upscaler_quality"])
def test_the_folder_of_a_sheet_is_there_before_the_training(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, sheet = import_module(f"bench.{words.split()[0]}"), tmp_path / "absent" / "sheet.png"
    (tmp_path / "faces256.zip").touch()
    there: list[bool] = []
    monkeypatch.setattr(module, "REAL", tmp_path / "faces96.zip")
    monkeypatch.setattr(module, "measure", lambda *_: there.append(sheet.parent.is_dir()))
    monkeypatch.setattr("sys.argv", [*words.split(), "--sheet", str(sheet)])
    module.main()
    assert there == [True]
