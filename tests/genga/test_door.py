"""How a command ends: what a person can mend is one sentence."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genga.documents import write_json
from genga.door import run
from genga.pictures import encode_png

REPO = Path(__file__).parents[2]
FULL = Path("/dev/full")  # the system itself refuses every write


@pytest.mark.parametrize(
    "write",
    [lambda: FULL.write_bytes(encode_png(np.zeros((64, 64), np.uint8))), lambda: write_json(FULL, {"kimg": 1})],
    ids=["picture", "document"],
)
def test_a_full_disk_is_one_sentence_whatever_is_written(write: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(write)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: a file could not be written ([Errno 28]") and said.count("\n") == 1
    assert f"make room on the disk of {Path.cwd()}, or " in said


def test_another_fault_of_a_file_is_one_sentence_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: (tmp_path / ("n" * 300)).write_text("too long"))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "nnn cannot be used (File name too long); mend that, or name another one" in said and said.count("\n") == 1


def test_a_fault_of_no_file_keeps_its_traceback() -> None:
    with pytest.raises(BrokenPipeError):
        run(lambda: (_ for _ in ()).throw(BrokenPipeError(32, "Broken pipe")))


def test_what_we_may_not_touch_is_one_sentence_that_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    def locked() -> None:
        raise PermissionError(13, "Permission denied", "mlflow.db.lock")  # root, as tests may run, is never refused

    with pytest.raises(SystemExit) as ended:
        run(locked)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: mlflow.db.lock may not be used as is needed here (Permission denied); give ") and said.count("\n") == 1


def test_a_stage_stopped_by_ctrl_c_says_so_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(stopped)
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip().startswith("stopped by Ctrl-C")


STAGE = """
from pathlib import Path
from genga.door import run
from genga.params import load_params
def main():
    Path("out").write_text(str(load_params().evaluate.seed))
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("  samples: 1000", "  samples: 99") + "# a remark")
    if not Path("pictures/2.png").exists():
        Path("pictures/2.png").write_bytes(b"added in mid-run")
run(main)
"""


def test_dvc_records_no_result_of_values_or_data_that_changed_while_a_stage_ran(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  evaluate:\n    cmd: {sys.executable} stage.py\n    deps: [pictures]\n    params: [evaluate]\n    outs: [out]\n"
    )
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/1.png").write_bytes(b"there from the start")
    (tmp_path / "params.yaml").write_bytes((REPO / "params.yaml").read_bytes())

    def dvc(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(REPO)}
        return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    dvc("init", "-q", "--no-scm")
    stopped = dvc("repro")
    assert stopped.returncode and "Traceback" not in stopped.stderr
    assert "error: evaluate in params.yaml, pictures changed while evaluate ran" in stopped.stderr
    assert not (tmp_path / "dvc.lock").exists()
    assert dvc("repro").returncode == 0
    assert "samples: 99" in (tmp_path / "dvc.lock").read_text()
