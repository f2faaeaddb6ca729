"""What the benches run with."""

import shutil
from pathlib import Path

import pytest

from bench.real_poses import with_profiles
from cli.edit import apply_profiles


def test_benches_run_with_the_values_that_ship_whatever_was_merged_into_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = with_profiles("evening")
    shutil.copy("params.yaml", tmp_path)
    (tmp_path / "profiles").symlink_to(Path("profiles").absolute())
    monkeypatch.chdir(tmp_path)
    apply_profiles(["gpu", "began"], dry_run=False)
    assert with_profiles("evening") == shipped
