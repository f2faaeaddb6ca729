"""The `genga` command: the shell's door. Each subcommand imports what it needs when it runs, so that --help is instant."""

import argparse
from pathlib import Path

from cli.label import add_label_commands
from genga.door import run


def import_(args: argparse.Namespace) -> None:
    from cli.edit import choose_faces

    choose_faces(args.faces, args.licence, args.origin)


def profile(args: argparse.Namespace) -> None:
    from cli.edit import apply_profiles, list_profiles

    if args.names:
        apply_profiles(args.names, dry_run=args.dry_run)
    else:
        list_profiles()


def repro(args: argparse.Namespace) -> None:
    from cli.repro import repro

    repro(args.stages)


def serve(args: argparse.Namespace) -> None:
    from serve.server import serve

    serve(args.release, args.host, args.port, args.review)


def tag(args: argparse.Namespace) -> None:
    from cli.tag import tag

    tag(
        args.folder,
        release_dir=args.release,
        form=args.format,
        out=args.out,
        thresholds=args.threshold,
        excluded=args.exclude,
        existing=args.existing,
        underscores=args.underscores,
    )


def compare(args: argparse.Namespace) -> None:
    from cli.compare import compare

    compare(args.family, again=args.again)


def gamma(args: argparse.Namespace) -> None:
    from cli.gamma import gamma

    gamma(args.family, args.gammas, args.kimg)


def promote(args: argparse.Namespace) -> None:
    from cli.versions import promote

    promote(args.family, args.version, args.why)


def rollback(args: argparse.Namespace) -> None:
    from cli.versions import rollback

    rollback(args.family, args.why)


def veto(args: argparse.Namespace) -> None:
    from cli.versions import veto

    veto(args.family, args.version, args.why)


def doctor(args: argparse.Namespace) -> None:
    from cli.doctor import doctor, ensure_browser

    if args.browser:
        ensure_browser()
    else:
        doctor()


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genga", description="From a pile of anime pictures to served, versioned models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("import", help="choose the pictures that the next run takes in")
    command.add_argument("faces", metavar="FACES", help="a folder, a zip or tar archive, `sample`, or `kaggle:OWNER/NAME@VERSION`")
    command.add_argument(
        "--licence", help="licence of the pictures, shown wherever their models are shown (default: what was said of the same FACES, else unknown)"
    )
    command.add_argument(
        "--origin", help="where they come from, in words (default: what was said of the same FACES, else the name of the file, folder or dataset)"
    )
    command.set_defaults(do=import_)

    command = commands.add_parser(
        "profile", help="merge named sets of values into params.yaml, whose others stay, but for families of train_face; without a name, list them"
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="one or more profiles, merged in this order; `laptop NAME` begins anew")
    command.add_argument("--dry-run", action="store_true", help="print the difference and change nothing")
    command.set_defaults(do=profile)

    command = commands.add_parser("repro", help="run what has changed in the graph, with a line per stage")
    command.add_argument("stages", nargs="*", metavar="STAGE", help="only up to these stages, as `dvc stage list` names them (default: everything)")
    command.set_defaults(do=repro)

    command = commands.add_parser("serve", help="serve the page and the API from a release")
    command.add_argument("--release", type=Path, default=Path("release"), help="the folder that `genga repro` deploys into (default: release)")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 answers other machines too (default: 127.0.0.1)")
    command.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    command.add_argument(
        "--review", type=Path, metavar="FILE", help="take corrections from the page and append them to this file (annotations/review.jsonl)"
    )
    command.set_defaults(do=serve)

    command = commands.add_parser("tag", help="write the released tagger's tags for a folder of face pictures, for other tools")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="pictures of faces, in folders within it too; of each the middle square is read")
    command.add_argument("--release", type=Path, default=Path("release"), help="where the tagger comes from (default: release)")
    command.add_argument(
        "--format", choices=("csv", "json", "txt"), default="csv", help="one table, one document, or a text file beside each picture (default: csv)"
    )
    command.add_argument(
        "--out",
        type=Path,
        help="the csv or json file (default: tags.csv or tags.json in FOLDER); of a csv file `genga import` takes the tags it names, all else stays "
        "unknown",
    )
    command.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="[TAG=]NUMBER",
        help="write a tag from this probability on, all tags or one group or flag; may be repeated (default: the tagger's own)",
    )
    command.add_argument(
        "--exclude",
        nargs="+",
        action="extend",
        default=[],
        metavar="TAG",
        help="groups, tags or words never written; FOLDER comes before",
    )
    command.add_argument("--underscores", action="store_true", help="write blue_hair instead of blue hair into text files")
    standing = command.add_mutually_exclusive_group()
    standing.add_argument("--append", dest="existing", action="store_const", const="append", help="add what is missing to files that stand there")
    standing.add_argument("--overwrite", dest="existing", action="store_const", const="overwrite", help="replace files that stand there")
    command.set_defaults(do=tag, existing="keep")

    command = commands.add_parser("compare", help="the versions of a family side by side, their numbers and what they draw from the same seeds")
    command.add_argument("family", nargs="?", metavar="FAMILY", help="one family (default: the champions of all)")
    command.add_argument("--again", action="store_true", help="score every version anew, so that all numbers come by one protocol")
    command.set_defaults(do=compare)

    command = commands.add_parser("gamma", help="train BEGAN with several values of gamma and draw quality against diversity")
    command.add_argument("gammas", nargs="*", type=float, default=[0.3, 0.5, 0.7, 0.9], metavar="GAMMA", help="default: 0.3 0.5 0.7 0.9")
    command.add_argument("--family", default="began64", help="one of train_face in params.yaml (default: began64, of `genga profile began`)")
    command.add_argument("--kimg", type=float, help="length of each training, in thousands of pictures (default: the family's own)")
    command.set_defaults(do=gamma)

    command = commands.add_parser("promote", help="make a version the champion and deploy it")
    command.add_argument("family", metavar="FAMILY", help="one of those that `genga compare` shows")
    command.add_argument("version", type=int, metavar="VERSION", help="its number, as `genga compare FAMILY` shows it")
    command.add_argument("--why", type=_sentence, required=True, help="one sentence for the promotion record")
    command.set_defaults(do=promote)

    command = commands.add_parser("rollback", help="put the champion before this one back and deploy it")
    command.add_argument("family", metavar="FAMILY", help="one of those that `genga compare` shows")
    command.add_argument("--why", type=_sentence, required=True, help="one sentence for the promotion record")
    command.set_defaults(do=rollback)

    command = commands.add_parser("veto", help="keep the gate from making a version the champion")
    command.add_argument("family", metavar="FAMILY", help="one of those that `genga compare` shows")
    command.add_argument("version", type=int, metavar="VERSION", help="its number, as `genga compare FAMILY` shows it")
    command.add_argument("--why", type=_sentence, required=True, help="one sentence for the promotion record")
    command.set_defaults(do=veto)

    add_label_commands(commands)

    command = commands.add_parser("doctor", help="check this machine and say what to do")
    command.add_argument(
        "--browser", action="store_true", help="only make sure that a browser for the tests is here, installing one where that is possible"
    )
    command.set_defaults(do=doctor)
    return parser


def _sentence(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("found nothing, expected one sentence for those who read the record later; say why")
    return text


def main() -> None:
    args = build_parser().parse_args()
    run(lambda: args.do(args))


if __name__ == "__main__":
    main()
