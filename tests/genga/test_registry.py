import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from safetensors.numpy import save_file

from genga.errors import GengaError, RegistryError, ReleaseError
from genga.registry import Registry, flatten, git_commit, user
from genga.release import file_hashes

PARAMS = {"model": {"arch": "dcgan", "width": 8}, "g_lr": 0.1}


def model_folder(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    save_file({"weight": np.full(8, seed, dtype=np.float32)}, folder / "weights.safetensors")
    (folder / "card.json").write_text(json.dumps({"kimg": seed}))
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store, made once: the first use of a new one takes a second and more."""
    root = tmp_path_factory.mktemp("registry")
    assert Registry(root=root).families() == []
    return root


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store / "mlflow.db", tmp_path / "mlflow.db")
    return Registry(root=tmp_path)


def test_families_are_found_among_many_models_of_others(registry: Registry) -> None:
    for number in range(105):
        registry.client.create_registered_model(f"model-{number:03d}")
    assert len(registry.families()) == 105


def with_versions(registry: Registry, folder: Path, count: int) -> list[str]:
    return [
        registry.register("dcgan32", model_folder(folder / f"v{seed}", seed), {"kid": seed / 10}, {"data_id": "d0"}).number for seed in range(count)
    ]


def test_nested_params_become_dotted_names() -> None:
    assert flatten({"model": {"arch": "dcgan", "size": {"w": 1}}, "lr": 0.1}) == {"model.arch": "dcgan", "model.size.w": "1", "lr": "0.1"}


def test_a_run_carries_its_commit_data_params_curve_and_samples(registry: Registry, tmp_path: Path) -> None:
    picture = tmp_path / "000001.png"
    picture.write_bytes(b"\x89PNG\r\n")
    with registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0") as run:
        run.log({"loss": 2.0}, 500)
        run.log({"loss": 1.0}, 1000)
        run.picture(picture)
        run.file(picture)
        run.finish(model_folder(tmp_path / "weights", 1))
    [found] = registry.runs("dcgan32")
    assert found["params"] == {"model.arch": "dcgan", "model.width": "8", "g_lr": "0.1"}
    assert found["metrics"]["loss"] == 1.0 and found["status"] == "FINISHED"
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= found["metrics"].keys()
    assert found["tags"]["git_commit"] == git_commit() and found["tags"]["data_id"] == "d0" and found["tags"]["dvc_lock"]
    assert [(point.step, point.value) for point in registry.client.get_metric_history(found["id"], "loss")] == [(500, 2.0), (1000, 1.0)]
    assert [entry.path for entry in registry.client.list_artifacts(found["id"], "samples")] == ["samples/000001.png"]
    assert {"000001.png", "card.json"} <= {entry.path for entry in registry.client.list_artifacts(found["id"])}


KILLED = """
import os, signal, sys
from pathlib import Path
from genga.registry import Registry
with Registry(root=Path(sys.argv[1])).tracking("dcgan32", {"lr": 0.1}, Path(sys.argv[1]) / "run", data_id="d0") as run:
    run._next_send = 0
    run.log({"loss": 2.0}, 500)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_training_goes_on_in_the_same_run_and_no_step_is_there_twice(registry: Registry, tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert child.returncode == -signal.SIGKILL
    with registry.tracking("dcgan32", {"lr": 0.1}, tmp_path / "run", data_id="d0") as run:
        run.log({"loss": 2.0}, 500)
        run.log({"loss": 1.5}, 1000)
    [found] = registry.runs("dcgan32")
    assert found["status"] == "FINISHED"
    assert [point.step for point in registry.client.get_metric_history(found["id"], "loss")] == [500, 1000]


def test_a_killed_training_that_starts_at_0_again_gets_a_run_of_its_own(registry: Registry, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with registry.tracking("dcgan32", {"lr": 0.1}, tmp_path / "run", data_id="d0") as run:
        run.afresh()
        run.log({"loss": 1.0}, 500)
        assert [state.read_text() for state in (tmp_path / "run").iterdir()] == [run.run_id]
    new, old = registry.runs("dcgan32")
    assert (new["id"], new["status"], new["metrics"]["loss"], new["params"]["lr"]) == (run.run_id, "FINISHED", 1.0, "0.1")
    assert (old["status"], old["metrics"]["loss"]) == ("KILLED", 2.0)
    with registry.tracking("dcgan32", {"lr": 0.2}, tmp_path / "run", data_id="d0") as first:
        first.afresh()  # nothing to leave behind
    assert len(registry.runs("dcgan32")) == 3


@pytest.mark.parametrize("change", [{"params": {"lr": 0.2}}, {"data_id": "d1"}])
def test_a_training_with_other_params_or_data_gets_a_run_of_its_own(registry: Registry, tmp_path: Path, change: dict[str, Any]) -> None:
    for call in ({"params": {"lr": 0.1}, "data_id": "d0"}, {"params": {"lr": 0.1}, "data_id": "d0"} | change):
        with registry.tracking("dcgan32", run_dir=tmp_path / "run", **call):
            pass
    assert len(registry.runs("dcgan32")) == 2


@pytest.mark.parametrize("cut", ["", "0123"])
def test_where_the_name_of_its_run_was_cut_short_a_training_gets_another(registry: Registry, tmp_path: Path, cut: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    [state_path] = (tmp_path / "run").iterdir()
    state_path.write_text(cut)
    with registry.tracking("dcgan32", {"lr": 0.1}, tmp_path / "run", data_id="d0") as run:
        assert state_path.read_text() == run.run_id
    assert len(registry.runs("dcgan32")) == 2


def test_a_training_interrupted_for_another_goes_on_in_its_own_run(registry: Registry, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with registry.tracking("dcgan32", {"lr": 0.2}, tmp_path / "run", data_id="d0") as other:
        other.finish(model_folder(tmp_path / "others", 2))
    with registry.tracking("dcgan32", {"lr": 0.1}, tmp_path / "run", data_id="d0") as run:
        run.log({"loss": 1.5}, 1000)
        run.finish(model_folder(tmp_path / "weights", 1))
    assert {found["id"]: found["params"]["lr"] for found in registry.runs("dcgan32")} == {run.run_id: "0.1", other.run_id: "0.2"}
    assert [point.step for point in registry.client.get_metric_history(run.run_id, "loss")] == [500, 1000]


def test_a_training_that_has_ended_and_writes_its_weights_once_more_does_so_in_the_same_run(registry: Registry, tmp_path: Path) -> None:
    weights_dir = model_folder(tmp_path / "weights", 1)

    def ended(*, interrupted: bool = False) -> None:
        with registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0") as run:
            if interrupted:
                raise KeyboardInterrupt
            run.log({"loss": 1.0}, 500)
            run.finish(weights_dir)

    for _ in range(2):
        ended()
    with pytest.raises(KeyboardInterrupt):
        ended(interrupted=True)
    [found] = registry.runs("dcgan32")
    assert found["status"] == "FINISHED" and len(registry.client.get_metric_history(found["id"], "loss")) == 1
    assert [entry.path for entry in registry.client.list_artifacts(found["id"])] == ["card.json"]
    with registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0") as afresh:
        afresh.afresh()  # with other code
    assert [(run["id"] == afresh.run_id, run["status"]) for run in registry.runs("dcgan32")] == [(True, "FINISHED"), (False, "FINISHED")]


def test_an_interrupted_training_is_marked_so(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0"):
        raise KeyboardInterrupt
    assert [run["status"] for run in registry.runs("dcgan32")] == ["KILLED"]


def test_a_version_belongs_to_the_run_that_made_its_weights(registry: Registry, tmp_path: Path) -> None:
    weights_dir = model_folder(tmp_path / "weights", 1)
    with registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0") as run:
        run.finish(weights_dir)
    version = registry.register("dcgan32", weights_dir, {"kid": 0.25}, {"data_id": "d0", "label_revision": "r1"})
    assert version.run_id == run.run_id and version.number == "1" and version.metrics == {"kid": 0.25}
    [found] = registry.runs("dcgan32")
    assert found["metrics"] == {"test/kid": 0.25} and found["tags"]["label_revision"] == "r1"
    assert version.facts["git_commit"] == found["tags"]["git_commit"]
    assert registry.challenger("dcgan32") == version
    assert registry.champion("dcgan32") is None


def test_the_same_content_is_registered_once_and_its_metrics_are_kept_up_to_date(registry: Registry, tmp_path: Path) -> None:
    first = registry.register("dcgan32", model_folder(tmp_path / "a", 1), {"kid": 0.2}, {})
    again = registry.register("dcgan32", model_folder(tmp_path / "b", 1), {"kid": 0.1}, {"label_revision": "r2"})
    other = registry.register("dcgan32", model_folder(tmp_path / "c", 2), {"kid": 0.3}, {})
    assert (first.number, again.number, other.number) == ("1", "1", "2")
    assert again.metrics == {"kid": 0.1} and again.facts["label_revision"] == "r2"
    assert [version.number for version in registry.versions("dcgan32")] == ["1", "2"]
    assert registry.families() == ["dcgan32"]


def test_a_version_comes_back_whole_and_a_damaged_one_is_refused(registry: Registry, tmp_path: Path) -> None:
    model_dir = model_folder(tmp_path / "a", 1)
    version = registry.register("dcgan32", model_dir, {}, {})
    found_dir = registry.version_dir("dcgan32", version.number)
    assert (found_dir / "weights.safetensors").read_bytes() == (model_dir / "weights.safetensors").read_bytes()
    (found_dir / "card.json").write_text("{}")
    with pytest.raises(RegistryError, match="not those that were registered"):
        registry.version_dir("dcgan32", version.number)


def test_a_pickle_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    model_dir = model_folder(tmp_path / "a", 1)
    (model_dir / "model.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ReleaseError, match=r"model\.pt"):
        registry.register("dcgan32", model_dir, {}, {})
    assert registry.versions("dcgan32") == []


def test_promotions_leave_a_record_and_move_the_alias(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 2)
    registry.promote("dcgan32", "1", "gate", "the first version")
    registry.promote("dcgan32", "2", "ann", "nicer eyes")
    record = registry.history("dcgan32")
    assert [(line.kind, line.was, line.to, line.who, line.why) for line in record] == [
        ("promote", None, "1", "gate", "the first version"),
        ("promote", "1", "2", "ann", "nicer eyes"),
    ]
    assert record[0].when < record[1].when
    champion = registry.champion("dcgan32")
    assert champion is not None and champion.number == "2"
    assert str(registry.client.get_model_version_by_alias("dcgan32", "champion").version) == "2"


def test_promoting_the_champion_again_leaves_no_second_line(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 1)
    assert registry.promote("dcgan32", "1", "ann", "x") == registry.promote("dcgan32", "1", "bob", "y")
    assert len(registry.history()) == 1


def test_promoting_the_champion_again_after_a_veto_of_another_leaves_no_line(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 2)
    entry = registry.promote("dcgan32", "1", "ann", "the first")
    registry.veto("dcgan32", "2", "bob", "licence")
    assert registry.promote("dcgan32", "1", "ann", "deployed") == entry
    assert [f"{line.kind} {line.to}" for line in registry.history()] == ["promote 1", "veto 2"]


def test_a_rollback_whose_alias_fails_counts_once_and_is_finished_by_promote(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in with_versions(registry, tmp_path, 3):
        registry.promote("dcgan32", number, "ann", "better")

    def refuse(*_: str) -> None:
        raise MlflowException("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(registry.client, "set_registered_model_alias", refuse)
        with pytest.raises(RegistryError, match=r"rollback to version 2 is recorded and counts.*`genga promote dcgan32 2 "):
            registry.rollback("dcgan32", "ann", "worse eyes")
    assert str(registry.client.get_model_version_by_alias("dcgan32", "champion").version) == "3"
    entry = registry.promote("dcgan32", "2", "ann", "deployed")
    assert (entry.kind, entry.was, entry.to) == ("rollback", "3", "2") and entry == registry.history("dcgan32")[-1]
    assert str(registry.client.get_model_version_by_alias("dcgan32", "champion").version) == "2"


def test_an_unknown_version_or_family_is_refused_in_one_sentence(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 2)
    with pytest.raises(RegistryError, match="dcgan32 has no version 7, it has 1, 2"):
        registry.promote("dcgan32", "7", "ann", "x")
    for number in ("latest", "-1", ""):
        with pytest.raises(RegistryError):
            registry.promote("dcgan32", number, "ann", "x")
    with pytest.raises(RegistryError, match="nobody has no version 1, it has none"):
        registry.promote("nobody", "1", "ann", "x")
    with pytest.raises(RegistryError, match=r"it has none; families are dcgan32"):
        registry.veto("nobody", "1", "ann", "x")
    with pytest.raises(RegistryError, match=r"no family 'nobody' is registered, families are dcgan32"):
        registry.rollback("nobody", "ann", "x")
    assert registry.history() == []


def test_rollback_walks_back_through_the_record(registry: Registry, tmp_path: Path) -> None:
    for number in with_versions(registry, tmp_path, 3):
        registry.promote("dcgan32", number, "gate", "better")
    assert registry.rollback("dcgan32", "ann", "ugly").to == "2"
    assert registry.rollback("dcgan32", "ann", "ugly too").to == "1"
    with pytest.raises(RegistryError, match="no champion before 1"):
        registry.rollback("dcgan32", "ann", "still")
    assert [(line.kind, line.was, line.to) for line in registry.history("dcgan32")[3:]] == [("rollback", "3", "2"), ("rollback", "2", "1")]
    champion = registry.champion("dcgan32")
    assert champion is not None and champion.number == "1"


def test_what_people_turned_down_is_remembered_until_a_person_promotes_it(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 3)
    registry.promote("dcgan32", "1", "gate", "the first")
    registry.promote("dcgan32", "2", "gate", "better")
    registry.rollback("dcgan32", "ann", "ugly")
    registry.veto("dcgan32", "3", "bob", "licence")
    assert {number: line.who for number, line in registry.vetoed("dcgan32").items()} == {"2": "ann", "3": "bob"}
    champion = registry.champion("dcgan32")
    assert champion is not None and champion.number == "1"
    registry.promote("dcgan32", "3", "ann", "licence found")
    assert list(registry.vetoed("dcgan32")) == ["2"]


def test_the_gate_lifts_no_veto_of_a_person(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 2)
    registry.veto("dcgan32", "2", "bob", "licence")
    registry.promote("dcgan32", "2", "gate", "better")
    assert {number: line.who for number, line in registry.vetoed("dcgan32").items()} == {"2": "bob"}


def test_a_rollback_to_a_version_lifts_that_it_was_turned_down_but_no_veto(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 3)
    registry.promote("dcgan32", "1", "gate", "the first")
    registry.promote("dcgan32", "2", "gate", "better")
    registry.promote("dcgan32", "1", "ann", "2 looks worse")
    assert list(registry.vetoed("dcgan32")) == ["2"]
    registry.rollback("dcgan32", "ann", "2 was right after all")
    assert list(registry.vetoed("dcgan32")) == ["1"]
    registry.promote("dcgan32", "3", "gate", "better")
    registry.veto("dcgan32", "2", "bob", "licence")
    registry.rollback("dcgan32", "ann", "3 is ugly")
    assert {number: line.who for number, line in registry.vetoed("dcgan32").items()} == {"1": "ann", "2": "bob", "3": "ann"}


def test_a_user_without_a_name_is_known_by_number(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert user() == "uid 54321"
    (number,) = with_versions(registry, tmp_path, 1)
    run = registry.client.get_run(registry.version("dcgan32", number).run_id)
    assert run.data.tags["mlflow.user"] == "uid 54321"


def test_the_champion_is_not_vetoed_and_a_veto_of_another_does_not_stop_rollbacks(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 3)
    registry.promote("dcgan32", "1", "gate", "the first")
    registry.promote("dcgan32", "2", "gate", "better")
    with pytest.raises(RegistryError, match=r"version 2 is the champion.*genga rollback dcgan32"):
        registry.veto("dcgan32", "2", "ann", "ugly")
    registry.veto("dcgan32", "3", "ann", "licence")
    registry.promote("dcgan32", "2", "ann", "stays")
    assert registry.rollback("dcgan32", "ann", "ugly").to == "1"


def test_versions_lie_in_any_folder(tmp_path: Path) -> None:
    root = tmp_path / "Jörg's 50 % #1"
    root.mkdir()
    registry = Registry(f"sqlite:///{root}/mlflow.db", root)
    with_versions(registry, tmp_path, 1)
    assert registry.version_dir("dcgan32", "1").is_relative_to(root)


def test_a_checkout_that_moved_keeps_its_versions(registry: Registry, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (tmp_path / "mlflow.db").rename(here / "mlflow.db")
    with_versions(Registry(root=here), tmp_path, 1)
    here.rename(there)
    moved = Registry(root=there)
    found_dir = moved.version_dir("dcgan32", "1")
    assert found_dir.is_relative_to(there)
    assert (found_dir / "card.json").read_bytes() == (tmp_path / "v0" / "card.json").read_bytes()
    (tmp_path / "more").mkdir()
    with_versions(moved, tmp_path / "more", 2)
    assert moved.version_dir("dcgan32", "2").is_relative_to(there) and not here.exists()
    for number in ("1", "2"):  # MLflow's own page finds them too
        run = moved.client.get_run(moved.version("dcgan32", number).run_id)
        assert run.info.artifact_uri.startswith((there / "mlartifacts").as_uri()) and moved.client.list_artifacts(run.info.run_id)
    (found_dir / "card.json").write_text("{}")
    with pytest.raises(RegistryError, match="not those that were registered"):
        moved.version_dir("dcgan32", "1")


def test_a_copy_of_the_records_alone_finds_the_files_where_they_are_and_writes_its_own_here(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 1)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "mlflow.db", copy)
    copied = Registry(root=copy)
    copied.register("dcgan32", model_folder(tmp_path / "own", 7), {}, {})
    assert copied.version_dir("dcgan32", "1") == registry.version_dir("dcgan32", "1")
    assert copied.version_dir("dcgan32", "2").is_relative_to(copy)


def test_what_a_killed_download_left_under_this_number_is_in_nobody_s_way(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 1)
    version, registered_dir = registry.version("dcgan32", "1"), registry.version_dir("dcgan32", "1")
    (tmp_path / "mlartifacts" / "downloaded" / f"{version.sha256}.{os.getpid()}" / registered_dir.name).mkdir(parents=True)
    downloaded = registry._downloaded(version, registered_dir.name)
    assert file_hashes(downloaded) == version.files and [path.name for path in downloaded.parent.iterdir()] == [version.sha256]


def test_a_database_that_is_none_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    for ask in (Registry(root=tmp_path).families, lambda: Registry(root=tmp_path).promote("dcgan32", "1", "ann", "x")):
        with pytest.raises(RegistryError, match=r"MLflow at sqlite:///.*mlflow\.db refused: .*not a database.*; mend that and run again") as refused:
            ask()
        assert "\n" not in str(refused.value)


NO_ROOM = """
import resource, sys
from pathlib import Path
from genga.door import run
from genga.registry import Registry
root = Path(sys.argv[1])
registry = Registry(root=root)
registry.families()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # the system itself refuses what the database writes
def train():
    with registry.tracking(sys.argv[2], {"lr": 0.1}, root / "run", data_id="d0"):
        pass
run(train)
"""


@pytest.mark.parametrize("family", ["dcgan32", "new"])
def test_a_database_that_cannot_grow_is_one_sentence_and_no_traceback(registry: Registry, tmp_path: Path, family: str) -> None:
    registry._new_run("dcgan32", {})
    command = [sys.executable, "-c", NO_ROOM, str(tmp_path), family]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: MLflow at sqlite:///") and result.stderr.count("\n") == 1 and "mend that and run again" in result.stderr


def test_an_alias_moved_by_hand_does_not_make_a_champion(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 2)
    registry.promote("dcgan32", "1", "gate", "the first")
    registry.client.set_registered_model_alias("dcgan32", "champion", "2")
    champion = registry.champion("dcgan32")
    assert champion is not None and champion.number == "1"


def test_two_promoters_at_once_end_in_one_order(registry: Registry, tmp_path: Path) -> None:
    numbers = with_versions(registry, tmp_path, 4)
    errors: list[GengaError] = []

    def promote(number: str) -> None:
        try:
            Registry(root=tmp_path).promote("dcgan32", number, f"promoter {number}", "better")
        except GengaError as error:
            errors.append(error)

    threads = [threading.Thread(target=promote, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    record = registry.history("dcgan32")
    assert sorted(line.to for line in record) == numbers
    assert [line.was for line in record] == [None, *(line.to for line in record[:-1])]
    assert str(registry.client.get_model_version_by_alias("dcgan32", "champion").version) == record[-1].to


FIRST_USE = "import sys; from pathlib import Path; from genga.registry import Registry; assert Registry(root=Path(sys.argv[1])).families() == []"


def test_two_first_users_of_a_new_store_do_not_break_it(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", FIRST_USE, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(RegistryError, match="unset MLFLOW_TRACKING_URI"):
        Registry(f"http://127.0.0.1:{port}").families()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("uri", ["http://localhost:abc", "http://exa mple", "http://[::bad"])
def test_an_address_that_is_none_is_one_sentence(uri: str) -> None:
    with pytest.raises(RegistryError, match=r"no MLflow server answers at .*unset MLFLOW_TRACKING_URI"):
        Registry(uri).families()


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[str]:
    """A real MLflow server on a free port."""
    shutil.copy(empty_store / "mlflow.db", tmp_path / "server.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(tmp_path / "artifacts")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while True:
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "server.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_the_same_code_works_with_a_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    registry = Registry(root=tmp_path)
    weights_dir = model_folder(tmp_path / "weights", 1)
    with registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0") as run:
        run.log({"loss": 1.0}, 500)
        run.finish(weights_dir)
    first = registry.register("dcgan32", weights_dir, {"kid": 0.2}, {})
    second = registry.register("dcgan32", model_folder(tmp_path / "other", 2), {"kid": 0.1}, {})
    assert first.run_id == run.run_id and {"loss": 1.0, "test/kid": 0.2}.items() <= registry.runs("dcgan32")[-1]["metrics"].items()
    assert (registry.version_dir("dcgan32", "1") / "card.json").read_bytes() == (weights_dir / "card.json").read_bytes()
    registry.promote("dcgan32", first.number, "gate", "the first")
    registry.promote("dcgan32", second.number, "gate", "better")
    assert registry.rollback("dcgan32", "ann", "ugly").to == "1"
    assert len(registry.history()) == 3
    assert not (tmp_path / "mlflow.db").exists()


def test_version_10_is_newer_than_9(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 10)
    registry.promote("dcgan32", "9", "ann", "nice")
    registry.promote("dcgan32", "10", "ann", "nicer")
    assert registry.vetoed("dcgan32") == {}
    registry.promote("dcgan32", "9", "ann", "10 has odd eyes")
    assert list(registry.vetoed("dcgan32")) == ["10"]


def test_an_older_version_registered_again_is_the_challenger(registry: Registry, tmp_path: Path) -> None:
    with_versions(registry, tmp_path, 2)
    registry.register("dcgan32", tmp_path / "v0", {"kid": 0.0}, {"data_id": "d0"})
    challenger = registry.challenger("dcgan32")
    assert challenger is not None and challenger.number == "1"


def test_facts_are_kept_up_to_date_where_the_metrics_stay(registry: Registry, tmp_path: Path) -> None:
    registry.register("dcgan32", model_folder(tmp_path / "a", 1), {"kid": 0.2}, {"label_revision": "r1"})
    again = registry.register("dcgan32", tmp_path / "a", {"kid": 0.2}, {"label_revision": "r2"})
    assert again.facts["label_revision"] == "r2" and again.number == "1"


def test_metrics_that_waited_for_long_all_arrive(registry: Registry, tmp_path: Path) -> None:
    """MLflow takes 1000 at a time."""
    with registry.tracking("dcgan32", PARAMS, tmp_path / "run", data_id="d0") as run:
        run._next_send = float("inf")  # as after a server that went away
        for step in range(1, 1202):
            run.log({"loss": 1 / step}, step)
    history = registry.client.get_metric_history(run.run_id, "loss")
    assert [point.step for point in history] == list(range(1, 1202))


def test_a_commit_whose_files_were_changed_is_marked_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("code.py", "dvc.lock"):
        Path(name).write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    ends = []
    for name in ("dvc.lock", "code.py"):
        Path(name).write_text("2")
        ends.append(git_commit.__wrapped__()[40:])
    assert ends == ["", "-dirty"]
