"""Prefect decides when, DVC what: each DVC stage is one task, in the order that DVC's own graph gives.

    python -m flows.graph [STAGE]            the whole graph now, or only up to a stage, no server needed
    prefect.yaml                             nightly run, weekly import, hourly label pull

Only what talks to a network is retried: a Kaggle import, a cascade that is fetched, and the label pull.
"""

import argparse
import subprocess
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.exceptions import TerminationSignal

from flows.standing import settle
from flows.turns import our_turn, start_repro
from genga.door import ending_with_us, run
from genga.errors import GengaError
from genga.params import Params, load_params
from labeling.account import HOME, Home, is_known
from labeling.pull import pull
from labeling.review import REVIEW
from stages.references import check_references

ANNOTATIONS = Path("annotations")
NETWORK_RETRIES, NETWORK_DELAY_S = 3, 30
HOURLY = "hourly-labels"


def stages_up_to(target: str | None) -> list[str]:
    """Stage names, every one after those it reads from; all of them, or `target` and what it needs."""
    import networkx as nx
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph  # an edge points from a stage to one that it reads from
        wanted = graph if target is None else graph.subgraph(nx.descendants(graph, stage := _stage(graph, target)) | {stage})
        return [stage.addressing for stage in nx.dfs_postorder_nodes(wanted)]


def _stage(graph: "object", name: str) -> "object":
    for stage in graph:  # type: ignore[attr-defined]
        if stage.addressing == name:
            return stage
    raise GengaError(f"no stage {name!r} in dvc.yaml; `dvc stage list` names them")


@task(task_run_name="{stage}")
def run_stage(stage: str) -> None:
    """One stage through DVC, which skips it when nothing that it reads has changed."""
    log = get_run_logger()
    with start_repro("--single-item", stage, stderr=subprocess.STDOUT) as process, ending_with_us(process.pid, TerminationSignal):
        assert process.stdout is not None
        for line in process.stdout:
            log.info(line.rstrip())
    if process.returncode:
        raise GengaError(f"stage {stage} failed with exit code {process.returncode}; its last lines in this task's log say why")


@task(name="pull", retries=NETWORK_RETRIES, retry_delay_seconds=NETWORK_DELAY_S)
def pull_annotations() -> bool:
    """Whether it was our turn. No stage reads labels meanwhile."""
    with our_turn(get_run_logger().info, HOURLY) as ours:
        if ours:
            pull(ANNOTATIONS, Home(HOME))
    return ours


def stages_that_fetch(params: Params) -> set[str]:
    crop = params.prepare_faces.crop
    fetches = {
        "import_faces": params.import_faces.source.kind == "kaggle",
        "prepare_faces": crop is not None and crop.cascade.startswith("https://"),
    }
    return {stage for stage, does in fetches.items() if does}


@flow(name="run-graph")
def run_graph(target: str | None = None, job: str | None = None) -> None:
    """Everything that is stale, up to `target` where one is named. Flows and `genga repro` wait for each other; where a run that names the same
    `job` waits already, this one ends."""
    params = load_params()
    check_references(params)
    fetching = stages_that_fetch(params)
    with our_turn(get_run_logger().info, job) as ours:
        if ours:
            settle([target] if target else [], get_run_logger().info)
        for stage in stages_up_to(target) if ours else []:
            if stage in fetching:
                run_stage.with_options(retries=NETWORK_RETRIES, retry_delay_seconds=NETWORK_DELAY_S)(stage)
            else:
                run_stage(stage)


@flow(name="import-faces")
def import_faces() -> None:
    """Takes in what is new at the source, without training."""
    run_graph("prepare_faces", "weekly-import")


@flow(name="pull-labels")
def pull_and_merge() -> None:
    """New labels from Label Studio -> annotations/ -> the labels stage; the nightly run trains on them.

    Where Label Studio does not answer, corrections made on the page are in annotations/ all the same and go on to the labels; then the flow
    fails, so that whoever watches it sees that people's labels stay away.
    """
    if not is_known(Home(HOME)) and not (ANNOTATIONS / REVIEW).is_file():
        get_run_logger().info("LABEL_STUDIO_URL is not set, no Label Studio was started here and nobody corrected on the page: nothing to pull")
        return
    try:
        ours = pull_annotations()
    except GengaError:
        run_graph("labels", HOURLY)
        raise
    if ours:
        run_graph("labels", HOURLY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", metavar="STAGE", nargs="?", help="only up to this stage, as `dvc stage list` names it (default: everything)")
    args = parser.parse_args()
    run_graph(args.target)


if __name__ == "__main__":
    run(main)
