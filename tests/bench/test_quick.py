"""Quick benches end in their numbers: on sets that are too small to measure anything."""

from pathlib import Path

import pytest

from bench import nearest, tag_speed


def test_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, count in {"COUNT": 2000, "QUERIES": 20, "ASKED_AGAIN": 200}.items():
        monkeypatch.setattr(nearest, name, count)
    monkeypatch.setattr("sys.argv", ["nearest"])
    nearest.main()
    assert "nearest: 100.00 % of 200 answers are those of brute force" in capsys.readouterr().out


def test_tag_speed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tag_speed, "COUNT", 1000)
    monkeypatch.setattr(tag_speed, "ROUNDS", 1)
    monkeypatch.setattr("sys.argv", ["tag_speed"])
    tag_speed.main()
    assert "pictures/s of 64 px" in capsys.readouterr().out
