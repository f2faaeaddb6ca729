"""Quick benches end in their numbers: on sets that are too small to measure anything."""

import time
from pathlib import Path

import pytest

from bench import figures_memory, nearest, tag_speed
from genga.params import DrawFigures


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


def test_tag_speed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tag_speed, "COUNT", 1000)
    monkeypatch.setattr(tag_speed, "ROUNDS", 1)
    monkeypatch.setattr("sys.argv", ["tag_speed"])
    tag_speed.main()
    assert "pictures/s of 64 px" in capsys.readouterr().out
