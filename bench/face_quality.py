"""Promise: after as many minutes of training on the same pictures the default face family's Fréchet and kernel distances are lower than every
peer's, and at most 0.75 of the best peer's, by two extractors of different kinds.

    python -m bench.face_quality --peers FOLDER [--minutes 20] [--only NAME ...] [--sheet sheet.png] [--keep FOLDER]
    python -m bench.face_quality --side 128 --only "ours stylegan2" "ours fastgan128" [...]       Genga's families among themselves at 128 px

FOLDER holds checkouts of the peers (bench/peers.py says which); --only takes names of theirs and of families in the profiles of SIDES.
It takes two hours: with --keep, samples and extractors stay, and a later call with as many minutes goes on from there; what other params, code of
models/ or pictures made is made anew. Beside the sheet lies a JSON of its name: every number, and how it came about.
Pictures are those of SIDES in ../shared/data, of which some are kept for the comparison; without them there is nothing to measure. The
extractors, of pictures brought to 64 px: a classifier of hair and eyes, trained on faces96.zip, and a network that tells which way up these very
pictures stand. Every training has the same wall-clock time; ours is planned from its measured speed and then stopped by the clock as well.
"""

import hashlib
import io
import math
import tempfile
import time
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench import peers
from bench.arguments import Parser, minutes
from bench.peers import SIDE, TRAINED, Training
from bench.real_faces import REAL, real_faces
from bench.real_poses import with_profiles
from bench.tagger_quality import lasting as tagger_lasting
from genga.documents import write_json
from genga.door import run
from genga.errors import ParamsError
from genga.params import Growth, Section, TrainFace, parse_params
from genga.pictures import encode_png
from genga.store import picture_id
from genga.whole import write_whole
from models.batches import to_signed, to_uint8
from models.export import grid, load_model
from models.loop import fingerprint_of, seed_step
from models.metrics.distance import Reference, compare
from models.recipes.faces import face_recipe
from stages.train_tagger import train_tagger

Pictures = NDArray[np.uint8]

DEFAULT = "stylegan2"
HELD_OUT, SAMPLES, SHOWN = 2000, 2000, 16
# side: pictures, how many of them are held out, and the profiles of Genga's families
SIDES = {SIDE: ("faces64.zip", HELD_OUT, ("evening", "fastgan")), 128: ("faces256.zip", 400, ("stylegan2-128", "fastgan-128"))}
PROBES = 6  # places of a training at which its speed is measured
JUDGING = 0.15  # of a family's minutes, at most 3: how long each extractor learns
PROMISED = 0.75

Scores = dict[str, dict[str, float]]  # of one generator, by each extractor


def ids_sha256(pictures: Pictures) -> str:
    """Names exactly these pictures, in this order."""
    return hashlib.sha256("\n".join(map(picture_id, pictures)).encode()).hexdigest()


def key_of(made_by: Section | Path, data_id: str) -> str:
    """Of what is kept: it follows from params and the code of models/, or from a file of bench/, and from the pictures."""
    if isinstance(made_by, Path):
        return hashlib.sha256(data_id.encode() + made_by.read_bytes()).hexdigest()[:12]
    return fingerprint_of(made_by, data_id)[:12]


class Ours:
    """A family of params, in the same number of pictures as it can see in the time."""

    def __init__(self, params: TrainFace, real: Tensor, minutes: float) -> None:
        self.batch_size = params.training.batch_size
        self._params = planned(params, real[: self.batch_size], minutes)
        self._recipe, self._nimg = face_recipe(self._params), 0

    def step(self, real: Tensor) -> None:
        seed_step(self._params.training.seed, self._nimg)
        self._recipe.step(real, self._nimg)
        self._nimg += len(real)

    def make(self, count: int) -> Tensor:
        self._recipe.settle()
        images: Tensor = self._recipe.G_ema(torch.randn(count, self._recipe.G.z_dim))
        return images


def planned(params: TrainFace, batch: Tensor, minutes: float) -> TrainFace:
    """As long as fills the minutes, warm-up and growth in proportion. The parts of a training are of different speeds, and so are steps with a
    penalty: at each probe one step of each kind is timed, for as many of its kind as come in a whole turn of the intervals."""
    total, style = params.training.total_kimg, params.style
    r1_interval = params.r1_interval if params.r1_gamma or params.r2_gamma else 1
    path_interval = style.path_interval if style and style.path_weight else 1
    turn = math.lcm(r1_interval, path_interval)
    kinds = [(step % r1_interval == 0, step % path_interval == 0) for step in range(turn)]
    recipe, seconds = face_recipe(params), []
    for probe in range(PROBES):
        first = round((probe + 0.5) / PROBES * 1000 * total) // len(batch) // turn * turn
        for kind, count in Counter(kinds).items():
            cur_nimg = (first + kinds.index(kind)) * len(batch)
            recipe.step(batch, cur_nimg)
            start = time.perf_counter()
            recipe.step(batch, cur_nimg)
            seconds.append(count / turn * (time.perf_counter() - start))
    kimg = 60 * minutes / (sum(seconds) / PROBES) * len(batch) / 1000
    times = kimg / total
    warm_up = params.warm_up and params.warm_up.model_copy(update={"kimg": params.warm_up.kimg * times})
    growth = [Growth(side=each.side, until_kimg=each.until_kimg * times, fade_kimg=each.fade_kimg * times) for each in params.growth]
    training = params.training.model_copy(update={"total_kimg": kimg})
    return params.model_copy(update={"training": training, "warm_up": warm_up, "growth": growth})


class Turned(nn.Module):
    """image (N, 3, 64, 64) -> logits of four quarter turns (N, 4), from features (N, 256) (Gidaris et al. 2018, https://arxiv.org/abs/1803.07728)."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 32, 64, 128, 256]
        blocks = [nn.Sequential(nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise(widths)]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.out = nn.Linear(256, 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.out(self.features(images))
        return logits


def learn_turns(pictures: Pictures, minutes: float, root: Path) -> Turned:
    net, path = Turned(), root / f"turns-{key_of(Path(__file__), ids_sha256(pictures))}.safetensors"
    if path.is_file():
        net.load_state_dict(safetensors.torch.load(path.read_bytes()))
        return net.eval()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    rng, right, until = np.random.default_rng(0), [], time.perf_counter() + 60 * minutes
    while time.perf_counter() < until:
        images = to_signed(torch.from_numpy(pictures[rng.integers(0, len(pictures), 64)]))
        turns = torch.from_numpy(rng.integers(0, 4, len(images)))
        logits = net(torch.stack([image.rot90(int(turn), (1, 2)) for image, turn in zip(images, turns, strict=True)]))
        loss = F.cross_entropy(logits, turns)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        right.append((logits.argmax(1) == turns).float().mean().item())
    print(f"face_quality: which way up: {np.mean(right[-50:]):.3f} right after {len(right)} batches of 64")
    write_whole(path, safetensors.torch.save(net.state_dict()))
    return net.eval()


def learn_tags(minutes: float, root: Path) -> Any:
    params = parse_params(with_profiles("laptop"), "params.yaml with profiles/laptop.yaml").train_tagger
    tagger_dir = root / f"tagger-{key_of(params, hashlib.sha256(REAL.read_bytes()).hexdigest())}"
    if not tagger_dir.is_dir():
        real_faces("laptop", root)
        train_tagger(tagger_lasting(params, minutes), root / "faces", root / "sample", root / "labels", root / "run", tagger_dir)
    net, card = load_model(tagger_dir)
    metrics = card["metrics"]
    print(f"face_quality: hair {metrics['hair_color/accuracy']:.3f} and eyes {metrics['eye_color/accuracy']:.3f} right on held-out faces96")
    return net


class Judge:
    """Distances of made pictures to the held-out ones, by each extractor's features of them at 64 px."""

    def __init__(self, extractors: dict[str, Any], held_out: Pictures) -> None:
        self._extractors, self._held_out = extractors, held_out
        self._references = {name: Reference.of(self._features(name, held_out)) for name in extractors}

    @torch.inference_mode()
    def _features(self, name: str, pictures: Pictures) -> NDArray[Any]:
        parts = torch.split(to_signed(torch.from_numpy(at_side(pictures, SIDE))), 200)
        return torch.cat([self._extractors[name].features(part) for part in parts]).numpy()

    def score(self, made: Pictures) -> Scores:
        return {name: compare(reference, self._features(name, made)) for name, reference in self._references.items()}

    def protocol(self) -> dict[str, Any]:
        """What stands beside the numbers."""
        weights = {name: safetensors.torch.save(net.state_dict()) for name, net in self._extractors.items()}
        return {
            "samples": SAMPLES,
            "side": self._held_out.shape[1],
            "held_out": len(self._held_out),
            "held_out_sha256": ids_sha256(self._held_out),
            "extractors": {name: {"sha256": hashlib.sha256(data).hexdigest(), "side": SIDE} for name, data in weights.items()},
            "resize": "area, cubic to a larger side",
            "number_format": "float32",
        }


def read_pictures(path: Path) -> Pictures:
    """Each once: of the 12,000 files of faces64.zip 1,616 are others over again."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        return np.stack([decode(data) for data in dict.fromkeys(map(archive.read, names))])


def at_side(pictures: Pictures, side: int) -> Pictures:
    if pictures.shape[1] == side:
        return pictures
    how = cv2.INTER_AREA if side < pictures.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(picture, (side, side), interpolation=how) for picture in pictures]).astype(np.uint8)


def decode(data: bytes) -> Pictures:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture.astype(np.uint8, copy=False)


def train(training: Training, real: Pictures, minutes: float, *, signed: bool) -> float:
    """Thousands of pictures seen in the time, mirrored at random for each of the trainings."""
    rng, seen, until = np.random.default_rng(0), 0, time.perf_counter() + 60 * minutes
    while time.perf_counter() < until:
        batch = torch.from_numpy(real[rng.integers(0, len(real), training.batch_size)])
        if signed:  # ours takes uint8 and mirrors by itself
            images = to_signed(batch).contiguous()
            training.step(torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images))
        else:
            training.step(batch)
        seen += len(batch)
    return seen / 1000


@torch.no_grad()
def samples(training: Training) -> Pictures:
    torch.manual_seed(1)
    return np.concatenate([to_uint8(training.make(100)) for _ in range(SAMPLES // 100)])


class Made(NamedTuple):
    """Samples of a training that saw so many thousand pictures."""

    pictures: Pictures
    kimg: float

    def keep(self, path: Path) -> None:
        written = io.BytesIO()
        np.savez(written, pictures=self.pictures, kimg=self.kimg)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, written.getvalue())

    @classmethod
    def kept(cls, path: Path) -> "Made":
        with np.load(path) as found:
            return cls(found["pictures"], float(found["kimg"]))


def families(side: int) -> dict[str, TrainFace]:
    """As the first profile that names them has them: the later ones keep the others as params.yaml has them."""
    found: dict[str, TrainFace] = {}
    for name in SIDES[side][2]:
        found = parse_params(with_profiles(name), f"params.yaml with profiles/{name}.yaml").train_face | found
    return {name: params for name, params in found.items() if params.model.resolution == side}


def measure(peers_dir: Path | None, only: list[str] | None, side: int, minutes: float, faces_path: Path, sheet_path: Path, root: Path) -> None:
    ours = {f"ours {name}": params for name, params in families(side).items()}
    known = [*ours, *(TRAINED if side == SIDE else [])]
    names = [f"ours {DEFAULT}", *known[len(ours) :]] if only is None else only
    if unknown := [name for name in names if name not in known]:
        raise ParamsError(f"--only: no {unknown[0]!r} at {side} px, expected some of {', '.join(known)}")
    sheet_path.parent.mkdir(parents=True, exist_ok=True)
    pictures = at_side(np.random.default_rng(0).permutation(read_pictures(faces_path)), side)
    held_out, real = np.split(pictures, [SIDES[side][1]])
    data_id, peers_path = ids_sha256(real), Path(peers.__file__)
    kept = {name: root / "samples" / f"{name.replace(' ', '-')}-{key_of(ours.get(name, peers_path), data_id)}.npz" for name in names}
    # an absent checkout is found before hours are spent
    starts = {name: TRAINED[name](peers_dir) for name in names if name in TRAINED and not kept[name].is_file()}
    judging = min(3.0, JUDGING * minutes)
    judge = Judge({"tags": learn_tags(judging, root), "turns": learn_turns(at_side(real, SIDE), judging, root)}, held_out)
    print(f"face_quality: {len(real)} pictures to learn from, {len(held_out)} held out, {minutes:g} minutes each, {SAMPLES} samples")
    scores, shown, kimg = {"real pictures": judge.score(real[:SAMPLES])}, [held_out[:SHOWN]], {}
    print_scores("real pictures", scores["real pictures"])
    for name in names:
        if not kept[name].is_file():
            torch.manual_seed(0)
            training: Training = starts[name] if name in starts else Ours(ours[name], torch.from_numpy(real), minutes)
            seen = train(training, real, minutes, signed=name in starts)
            Made(samples(training), seen).keep(kept[name])
        made = Made.kept(kept[name])
        scores[name], kimg[name] = judge.score(made.pictures), made.kimg
        shown.append(made.pictures[:SHOWN])
        print_scores(f"{name}, {made.kimg:.1f} kimg ({1000 * made.kimg / (60 * minutes):.1f}/s)", scores[name])
    sheet_path.write_bytes(encode_png(grid(np.concatenate(shown), columns=SHOWN)))
    learned_from = {"file": faces_path.name, "count": len(real), "sha256": data_id}
    report = {"minutes": minutes, "learned_from": learned_from, "protocol": judge.protocol(), "kimg": kimg, "scores": scores}
    write_json(sheet_path.with_suffix(".json"), report)
    print(f"face_quality: {sheet_path}: a row each: held-out pictures, {', '.join(names)}; numbers and protocol in {sheet_path.with_suffix('.json')}")
    others = [name for name in names if name in TRAINED]
    for name in (name for name in names if name in ours and others):
        for extractor in ("tags", "turns"):
            for distance in ("fd", "kid"):
                best = min(others, key=lambda other: scores[other][extractor][distance])
                ratio = scores[name][extractor][distance] / scores[best][extractor][distance]
                print(f"face_quality: {name}: {distance} by {extractor} {ratio:.2f} of the best peer's, {best}; promised <= {PROMISED}")


def print_scores(what: str, found: Scores) -> None:
    for extractor, metrics in found.items():
        print(f"face_quality: {what}, by {extractor}: " + ", ".join(f"{name} {value:.3f}" for name, value in metrics.items()), flush=True)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--side", type=int, choices=SIDES, default=SIDE, help="of the pictures that are drawn (default: 64)")
    parser.add_argument("--minutes", type=minutes, default=20.0)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--sheet", type=Path, default=Path("bench-out/face-quality.png"), help="samples of all (default: bench-out/face-quality.png)")
    parser.add_argument("--keep", type=Path, help="a later call with as many minutes goes on from what lies there")
    args = parser.parse_args()
    faces_path = REAL.with_name(SIDES[args.side][0])
    if not faces_path.is_file():
        print(f"face_quality: skipped, there is no {faces_path} to learn from")
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if args.keep:
            root = args.keep / f"{args.side}-px-{args.minutes:g}-minutes"
            root.mkdir(parents=True, exist_ok=True)
        measure(args.peers, args.only, args.side, args.minutes, faces_path, args.sheet, root)


if __name__ == "__main__":
    run(main)
