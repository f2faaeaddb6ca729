"""Commands that change params.yaml: its comments stay, the result is checked before a byte is written, the difference is printed."""

import difflib
import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations, islice, permutations
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted  # `no` and `12:30` stay words so
from ruamel.yaml.scalarstring import PlainScalarString as Plain

from genga.errors import ParamsError
from genga.params import parse_params, parse_yaml, read_params
from genga.whole import write_whole
from stages.archives import DAMAGES, kind_of_archive, utf8_name

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")
SHIPPED = "laptop"
ORDERS = 24  # of profiles that are tried: all of four
CHOOSES_FIELDS = ("arch", "kind")  # where this key changes, its neighbours belong to another type
WHOLE_SETS = ("train_face",)  # a profile that names this section names every family in it


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.representer.add_representer(type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"))
    return yaml


def merge(values: Any, into: Any) -> None:
    """Every value that the profile names replaces the one in `into`; whole sections where their type changes."""
    for key, value in values.items():
        present = into.get(key)
        if key in WHOLE_SETS:
            for family in set(present or {}) - set(value or {}):
                del present[family]
                (into.get("gate") or {}).pop(family, None)  # its rule goes with it
        same_type = (
            isinstance(present, dict)
            and isinstance(value, dict)
            and all(value.get(name, present.get(name)) == present.get(name) for name in CHOOSES_FIELDS)
        )
        if same_type:
            merge(value, present)
        else:
            into[key] = value


def _write(changes: list[Any], *, dry_run: bool, way_out: Callable[[], str] | None = None) -> None:
    """`way_out` says what to do where the changes do not go with what stands there."""
    before = read_params(PARAMS)
    document = _parsed(before, PARAMS)
    families = set(document.get("train_face") or {})
    for change in changes:
        merge(change, document)
    text = io.StringIO()
    _yaml().dump(document, text)
    after = text.getvalue()
    try:
        parse_params(parse_yaml(after, "the new params.yaml"), "the new params.yaml")
    except ParamsError as error:
        if way_out is None:
            raise
        first = str(error).split("; ")[0]
        raise ParamsError(f"these values do not go with those of {PARAMS}, which stays as it was ({first}); {way_out()}") from error
    if before == after:
        print("params.yaml already says so")
        return
    print(
        "".join(
            difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), "params.yaml before", "params.yaml after", n=1)
        ),
        end="",
    )
    if gone := sorted(families - set(document.get("train_face") or {})):
        print(f"trained no more, since what names families of train_face names all of them: {', '.join(gone)}")
    if not dry_run:
        try:
            write_whole(PARAMS, after)
        except PermissionError as error:
            raise ParamsError(f"{PARAMS} cannot be written ({error}), it stays as it was; allow it to be written and run again") from error


def _parsed(text: str, path: Path) -> Any:
    """A file of values; its sections are checked once they stand in params.yaml."""
    try:
        document = _yaml().load(text)
    except (YAMLError, ValueError) as error:  # the latter: a date that is none
        raise ParamsError(f"{path} is not valid YAML ({' '.join(str(error).split())}); correct it there and run again") from error
    if not isinstance(document, dict):
        raise ParamsError(f"{path} holds no sections, expected some such as `evaluate:` with values below; put them there and run again")
    return document


def list_profiles() -> None:
    """Each profile with the first line of its comment."""
    paths = sorted(PROFILES.glob("*.yaml"))
    if not paths:
        raise ParamsError(f"no profile in {PROFILES} here; run from the project's folder")
    for path in paths:
        first = read_params(path).partition("\n")[0]
        print(f"{path.stem:20} {first.lstrip('# ')}")


def apply_profiles(names: list[str], *, dry_run: bool) -> None:
    read_params(PARAMS)  # outside the project that is what is wrong
    paths = [PROFILES / f"{name}.yaml" for name in names]
    for path in paths:
        if not path.is_file():
            known = ", ".join(sorted(profile.stem for profile in PROFILES.glob("*.yaml")))
            raise ParamsError(f"no profile {path.stem!r}, there are: {known}; add {path} or choose one of these")
    _write([_parsed(read_params(path), path) for path in paths], dry_run=dry_run, way_out=partial(_way_out, names))
    anew = _on_shipped(names)
    if with_profiles(names) != with_profiles(anew):
        print(f"what {PARAMS} had besides stays; to begin from the values that ship: `genga profile {' '.join(anew)}`")


def _on_shipped(names: Sequence[str]) -> list[str]:
    """With the values that ship first; they replace what is named before them."""
    ships = [place for place, name in enumerate(names) if name == SHIPPED]
    return [SHIPPED, *names[ships[-1] + 1 if ships else 0 :]]


def with_profiles(names: Sequence[str]) -> Any:
    """What params.yaml would hold with these merged in, one after the other."""
    document = parse_yaml(read_params(PARAMS), str(PARAMS))
    for name in names:
        merge(parse_yaml(read_params(path := PROFILES / f"{name}.yaml"), str(path)), document)
    return document


def _goes(names: Sequence[str]) -> bool:
    try:
        parse_params(with_profiles(names), "")
    except ParamsError:
        return False
    return True


def _way_out(names: list[str]) -> str:
    """What goes where these profiles, in this order, do not."""
    anew = _on_shipped(names)
    if _goes(anew):
        return f"begin from the values that ship: `genga profile {' '.join(anew)}`"
    _, *rest = anew
    for order in islice(permutations(rest), 1, ORDERS):
        for words in (order, (SHIPPED, *order)):
            if _goes(words):
                return f"in another order they do: `genga profile {' '.join(words)}`"
    for first, second in combinations(rest, 2):
        if not _goes([SHIPPED, first, second]) and not _goes([SHIPPED, second, first]):
            return f"{first} and {second} do not go together in either order, leave one of them out"
    return "they go together in no order, leave one of them out"


def source_of(faces: str) -> dict[str, Any]:
    """What the user named -> import_faces.source."""
    if faces == "sample":
        return {"kind": "sample", "path": "data/faces/sample"}
    if faces.startswith("kaggle:"):
        dataset, _, version = faces.removeprefix("kaggle:").partition("@")
        if not version.isdecimal():
            raise ParamsError(
                f"{faces!r} names no version, expected kaggle:OWNER/NAME@VERSION with a number; the dataset's page on Kaggle lists its versions"
            )
        return {"kind": "kaggle", "path": "stages/kaggle.py", "dataset": Quoted(dataset), "version": int(version)}
    if not _exists(faces):
        with suppress(RuntimeError):  # ~name, where nobody is called so
            faces = str(Path(faces).expanduser())  # the shell leaves a quoted ~ as it is
    path = Path(faces)
    if not _exists(faces):
        raise ParamsError(f"nothing at {faces}, expected a folder or an archive of pictures; give its path, `sample`, or kaggle:OWNER/NAME@VERSION")
    if path.is_dir():
        _check_folder(path, faces)
    if not path.is_dir() and not _is_archive(path):
        raise ParamsError(f"{faces} is neither a zip nor a tar archive, expected one, or a folder of pictures; params.yaml stays as it was")
    return {"kind": "folder" if path.is_dir() else "archive", "path": Quoted(faces.rstrip("/"))}


def _exists(faces: str) -> bool:
    try:
        return Path(faces).exists()
    except OSError:  # a name that no file can have, or that we may not look for
        return False


def _check_folder(folder: Path, faces: str) -> None:
    """That DVC, which reads every file to tell whether one has changed, and then the import can read it. No link to a folder is followed."""
    unchanged = "params.yaml stays as it was"
    made, place = Path("data").resolve(), folder.resolve()
    if made.is_relative_to(place) or place.is_relative_to(made):
        raise ParamsError(f"{faces!r} holds what the graph makes, or is of that, expected a folder of pictures alone; give one, {unchanged}")
    shown = 0
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            if (readable := utf8_name(str(path))) != str(path):
                raise ParamsError(f"{readable} is a name that is not in UTF-8, expected one that is; rename it, or pack a tar or zip, {unchanged}")
            if name in names and not path.is_file():
                raise ParamsError(f"{path} is a broken link or no plain file, expected pictures; take it out, {unchanged}")
        hidden = any(part.startswith(".") for part in Path(parent).relative_to(folder).parts)
        shown += not hidden and any(not name.startswith(".") for name in names)
    if not shown:
        raise ParamsError(f"no file that we may read lies in {faces}, expected pictures; put some there or give another, {unchanged}")


def _is_archive(path: Path) -> bool:
    try:
        return path.is_file() and kind_of_archive(path) is not None
    except DAMAGES:
        return False


def _term(option: str, text: str | None) -> str | None:
    """What was said of the pictures, without the spaces around it."""
    if text is None:
        return None
    if not text.strip():
        raise ParamsError(f"{option} is {text!r}, expected words; write some or leave {option} out, params.yaml stays as it was")
    return text.strip()


def _said_of(source: dict[str, Any]) -> dict[str, str]:
    """Licence and origin, where params.yaml has them of these very pictures."""
    now = _parsed(read_params(PARAMS), PARAMS).get("import_faces")
    return {name: now[name] for name in ("licence", "origin") if name in now} if isinstance(now, dict) and now.get("source") == source else {}


def choose_faces(faces: str, licence: str | None, origin: str | None) -> None:
    source, licence, origin = source_of(faces), _term("--licence", licence), _term("--origin", origin)
    named = source.get("dataset") or Path(source["path"]).absolute()
    said = _said_of(source)
    terms: dict[str, str] = {
        "licence": Quoted(licence or said.get("licence", "unknown")),
        "origin": Quoted(origin or said.get("origin", Path(named).name)),
    }
    if source["kind"] == "sample":
        if licence or origin:
            raise ParamsError("--licence and --origin were found with `sample`, which Genga draws itself under CC0-1.0; leave them out")
        terms = {"licence": Plain("CC0-1.0"), "origin": Plain("drawn by Genga")}
    _write([{"import_faces": {"source": source, **terms}}], dry_run=False)
