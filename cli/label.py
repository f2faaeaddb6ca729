"""`genga label ...`: labeling with people. Each subcommand imports what it needs when it runs."""

import argparse
import os
import sys
import webbrowser
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from genga.errors import GengaError

RELEASE, ANNOTATIONS, FIGURES, FACES = Path("release"), Path("annotations"), Path("data/figures"), Path("data/faces/prepared")
IMPORTED, LABELS = Path("data/faces/imported"), Path("data/labels")
MADE = (FACES, Path("data/faces/sample"), FIGURES / "mannequins", FIGURES / "sticks")  # pictures that nobody names
SHOWN = 5  # of names and ids in a sentence
DESCRIPTION = """Labeling with people, in a Label Studio on this machine.

One round, from the project's folder:
    make label-studio            install and start it; leave it running, go on in another shell
    genga label queue 100        choose the 100 pictures that help most, and put them there in that order
    genga label open             where to log in, and the address that shows the first of them
    genga label pull             what people have saved -> annotations/, a new label revision
    genga repro                  train again what depends on it
"""


def add_label_commands(commands: Any) -> None:
    label = commands.add_parser(
        "label", help="label pictures with people in Label Studio", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = label.add_subparsers(required=True, metavar="ACTION")

    action = actions.add_parser(
        "up",
        help="start Label Studio and the models that guess for it",
        description="Starts Label Studio on this machine, reachable from this machine only, makes or migrates the two projects (poses, tags), and "
        "lets the deployed models fill in their guess whenever a task without one is opened. Runs until Ctrl-C. The password is random and lies "
        "in .label-studio/account.json, which only you may read. `make label-studio` installs it first.",
    )
    action.set_defaults(do=up)

    action = actions.add_parser(
        "push",
        help="put pictures into Label Studio, with the models' guess",
        description="Puts pictures into Label Studio: for poses the drawings of own-figures/ whose joints no export there tells, for tags the "
        "prepared faces. A picture that is there is not put there twice; where nobody has labeled yet, a newer model's guess replaces the older "
        "one. Run it as often as you like.",
    )
    _kinds(action)
    action.add_argument("--limit", type=int, metavar="N", help="at most N pictures of each kind (default: all)")
    action.add_argument(
        "--doubtful",
        type=Path,
        metavar="FILE",
        help="only the faces whose labels the tagger most surely contradicts, at the front of the queue and without its guess: "
        "weights/tagger/doubtful.json",
    )
    action.add_argument("--no-guess", action="store_true", help="leave the guess to the moment when a task is opened, by the models deployed then")
    action.set_defaults(do=push)

    action = actions.add_parser(
        "queue",
        help="order what is to be labeled, the most helpful pictures first",
        description="Chooses the N unlabeled pictures of each kind that should help the models most, and writes that order into Label Studio: tags "
        "by how unsure the tagger is, how few labels the values in question have and how different the pictures are, joints by how unsure the pose "
        "networks are; near duplicates, of each other and of what is labeled, are passed over. Where no tagger knows today's tags, by labels and "
        "pictures alone. A face is asked for its few most telling tags "
        "(label_studio.tags_per_picture of params.yaml), by a later queue again for others. Pictures that are not there yet are put "
        "there. The view `Queue` of each project shows them in this order.",
    )
    action.add_argument("count", type=int, metavar="N", help="how many pictures of each kind")
    _kinds(action)
    action.set_defaults(do=queue)

    action = actions.add_parser(
        "pull",
        help="take what people saved into annotations/, as a new label revision",
        description="Asks Label Studio for what was made, changed or deleted since the last pull and writes it into annotations/; with it the "
        "corrections made on the page of `genga serve`. Incomplete or impossible poses are listed with a link to each and kept out of the "
        "labels. Where something is new, that is a new label revision; then `genga repro` trains again what depends on it. A graph that runs is "
        "waited for.",
    )
    action.add_argument("--offline", action="store_true", help="only corrections made on the page; asks no Label Studio")
    action.set_defaults(do=pull)

    action = actions.add_parser(
        "agreement",
        help="how far people agree, what they differ on, and what then counts",
        description="Compares what several people said about the same pictures: joints by OKS and PCK, every tag by Cohen's kappa. Lists each "
        "disagreement with a link and the value that counts. Reads what was pulled; asks no server.",
    )
    action.add_argument("--csv", type=Path, metavar="FILE", help="write every disagreement into this file")
    action.set_defaults(do=agreement)

    action = actions.add_parser(
        "import",
        help="take labels from a COCO, CVAT or Label Studio file, without a server",
        description="Turns COCO keypoints (the 11 joints, in any order), CVAT's XML (points or skeletons of the 11 joints, image tags) or a JSON "
        "export of Label Studio into annotations/<format>-<name>.json, which the labels stage reads. A picture is known by its sha256, as `genga "
        "label export` writes it, or by its file name, with or without folders and suffix, among the imported pictures and those of "
        "own-figures/. A name that fits none or several of them is left out and said, and so is what is known by its sha256 but not here. Of COCO "
        "and CVAT a figure or tag that cannot be taken is listed, and the rest comes in. A file that names no people stands for one person, called "
        "as the file is: of a corrected one take the older out of annotations/ first.",
    )
    action.add_argument("format", choices=("coco", "cvat", "label-studio"))
    action.add_argument("file", type=Path, metavar="FILE")
    action.set_defaults(do=import_)

    action = actions.add_parser(
        "export",
        help="write what was pulled as Label Studio JSON, COCO keypoints or CVAT XML",
        description="Writes every answer in annotations/ into one file: Label Studio's JSON and CVAT's XML hold joints and tags, COCO joints only. "
        "Times, stars and bad pictures stand in Label Studio's JSON alone; what another format cannot hold is said.",
    )
    action.add_argument("format", choices=("label-studio", "coco", "cvat"))
    action.add_argument("file", type=Path, metavar="FILE")
    action.set_defaults(do=export)

    action = actions.add_parser(
        "open", help="where to log in and label", description="Prints where to log in and the address that shows the first task of each queue."
    )
    _kinds(action)
    action.add_argument("--invite", action="store_true", help="print an address at which another annotator makes an account")
    action.set_defaults(do=open_)


def _kinds(action: argparse.ArgumentParser) -> None:
    action.add_argument("--only", choices=("poses", "tags"), help="one kind of labels (default: both)")


def _chosen(args: argparse.Namespace) -> list[Any]:
    from labeling.projects import KINDS

    return [kind for kind in KINDS.values() if args.only in (None, kind.name)]


def up(_: argparse.Namespace) -> None:
    from cli.label_up import up

    up(RELEASE)


def push(args: argparse.Namespace) -> None:
    from labeling.pictures import doubtful

    if args.doubtful and args.only == "poses":
        raise GengaError("--doubtful names faces with doubtful tags, but --only poses was asked for; leave one of the two out")
    if args.limit is not None and args.limit < 1:
        raise GengaError(f"--limit {args.limit} was asked for, expected at least 1; give a larger N, or leave it out for all")
    args.only = "tags" if args.doubtful else args.only

    def choose(_kind: Any, found: list[Any], *_: Any) -> list[Any]:
        return (doubtful(args.doubtful, found) if args.doubtful else found)[: args.limit]

    _push(args, choose, queue=bool(args.doubtful), guess=not (args.no_guess or args.doubtful))


def queue(args: argparse.Namespace) -> None:
    from cli.queueing import order, placed_poses
    from genga.params import load_params

    if args.count < 1:
        raise GengaError(f"a queue of {args.count} pictures was asked for, expected at least 1; give a larger N")
    each = load_params().label_studio.tags_per_picture

    def choose(kind: Any, found: list[Any], engine: Any, told: dict[str, Any]) -> list[Any]:
        placed = placed_poses(ANNOTATIONS, told.values()) if kind.name == "poses" else ()
        return order(kind.name, found, engine, FACES, LABELS, args.count, each, placed)

    _push(args, choose, queue=True, guess=True)


def _push(args: argparse.Namespace, choose: Any, *, queue: bool, guess: bool) -> None:
    from cli.guessing import guesses_for, open_engine, why_none
    from genga.params import load_params
    from labeling.account import HOME, Home, connect, one_sentence, url_of
    from labeling.pictures import entries, said_by_people
    from labeling.projects import ensure_project
    from labeling.push import push, unanswered
    from stages.own_figures import exported

    params, home = load_params(), Home(HOME)
    own = params.draw_figures.own
    url, engine = url_of(home), open_engine(RELEASE) if guess else None
    for kind in _chosen(args):
        said = said_by_people(kind.name, ANNOTATIONS)
        told = exported(own, Path(own.path)) if kind.name == "poses" else {}
        pictures = [entry for entry in entries(kind.name, params, FIGURES, FACES) if entry.id not in told]
        found = [left for entry in pictures if (left := entry.still_open(said))]
        with one_sentence(url):
            client = connect(home)
            project = ensure_project(client, url, kind, home, params.label_studio)
            guesses = guesses_for(engine, kind) if guess else None
            chosen = choose(kind, unanswered(client, project, found, params.label_studio.annotators_per_task, again=queue), engine, told)
            pushed = push(client, project, home, chosen, guesses, params.label_studio, queue=queue)
        print(f"{kind.name}: {pushed.created} new tasks, {pushed.reguessed} with a newer guess, {pushed.requeued} moved in the queue", flush=True)
        if guess and guesses is None:
            print(f"{kind.name}: without a guess: {why_none(engine, kind)}")


def pull(args: argparse.Namespace) -> None:
    from flows.turns import our_turn
    from genga.params import load_params
    from labeling.account import HOME, Home
    from labeling.exports import read_annotations
    from labeling.pictures import pictures_here
    from labeling.pull import pull

    params = load_params()  # outside the project this stops here, before a folder is made
    with our_turn(partial(print, flush=True)):
        pulled = pull(ANNOTATIONS, Home(HOME), offline=args.offline)
    for problem in pulled.problems:
        print(f"kept out: {problem.task}  {problem.reason}")
    print(
        f"{pulled.added} tasks new, {pulled.changed} changed, {pulled.removed} no longer labeled; "
        f"{pulled.corrections} corrections new; {len(pulled.problems)} answers kept out"
    )
    ids, here = [said.picture_id for said in read_annotations(ANNOTATIONS).annotations], pictures_here(params, IMPORTED, MADE)
    if absent := [id_ for id_ in ids if id_ not in here.sizes]:
        print(f"{len(absent)} answers are about pictures that are not here: {_some(set(absent))}; they count once these are imported")
    if pulled.is_new:
        print(f"label revision {pulled.revision}; `genga repro` trains again what depends on it")
    else:
        print(f"nothing new since label revision {pulled.revision}")


def agreement(args: argparse.Namespace) -> None:
    from genga.params import load_params
    from labeling.agreement import compare, write_disagreements
    from labeling.exports import read_annotations

    found = compare(read_annotations(ANNOTATIONS).annotations, load_params().labels)
    print("\n".join(found.lines()))
    if args.csv:
        with _writing(args.csv):
            write_disagreements(args.csv, found.disagreements)


def import_(args: argparse.Namespace) -> None:
    from genga.params import load_params
    from labeling.formats import import_labels
    from labeling.pictures import pictures_here

    found = import_labels(args.file, args.format, ANNOTATIONS, pictures_here(load_params(), IMPORTED, MADE))
    for problem in found.problems:
        print(f"kept out: {problem.task}  {problem.reason}")
    print(f"labels of {found.pictures} pictures are written to {found.path}; `genga repro` reads them")
    if found.unknown:
        print(f"left out: {len(found.unknown)} names that fit no picture here, or several: {_some(found.unknown)}")
    if found.absent:
        print(f"{len(found.absent)} of these pictures are not here: {_some(found.absent)}; their labels count once they are imported")


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


def export(args: argparse.Namespace) -> None:
    from genga.params import load_params
    from genga.whole import write_whole
    from labeling.exports import read_annotations
    from labeling.formats import WRITERS, held, labeled_of, lost
    from labeling.pictures import pictures_here

    params = load_params()  # outside the project this stops here
    said = read_annotations(ANNOTATIONS)
    if not said.annotations:
        raise GengaError(f"no answers are in {ANNOTATIONS}, {args.file} is not written; pull or import some first")
    found = labeled_of(said.annotations, pictures_here(params, IMPORTED, MADE).sizes)
    dropped = f"; {args.format} cannot hold {', '.join(left)}" if (left := lost(found, args.format)) else ""
    if not (written := held(found, args.format)):
        raise GengaError(f"none of the {len(found)} answers in {ANNOTATIONS} is written to {args.file}{dropped}; write label-studio instead")
    with _writing(args.file):
        write_whole(args.file, WRITERS[args.format](found))
    print(f"{len(written)} answers written to {args.file}{dropped}")
    if kept_out := len(said.problems) - sum(each.bad for each in said.annotations):  # bad pictures are listed too, and written
        print(f"{kept_out} answers that are kept out, wholly or in part, are not written so; `genga label pull` lists them")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    if path.is_dir():
        raise GengaError(f"{path} is a folder; give a file")
    try:
        yield
    except OSError as error:
        raise GengaError(f"{path} cannot be written ({error.strerror}); give a file in a folder that stands and that you may write into") from error


def open_(args: argparse.Namespace) -> None:
    from labeling.account import HOME, Home, connect, one_sentence, read_account, url_of
    from labeling.projects import labeling_url, project_of

    home = Home(HOME)
    url = url_of(home)
    with one_sentence(url):
        client = connect(home)
        addresses = {kind.name: labeling_url(client, project_of(client, url, kind)) for kind in _chosen(args)}
        invitation = f"{url}{client.organizations.invites.get_invite_link().invite_url}" if args.invite else None
    if "LABEL_STUDIO_URL" not in os.environ:
        print(f"log in at {url} as {read_account(home).username}, the password stands in {home.account}")
    for name, address in addresses.items():
        print(f"{name}: {address}")
    if invitation:
        print(f"another annotator makes an account at {invitation}")
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(next(iter(addresses.values())))
