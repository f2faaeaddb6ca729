"""One opened release: its networks, ready to work, and what each family can be asked for.

Everything here is synchronous and makes one picture at a time, in float32: a picture's bytes depend on the request and the version,
never on what else was asked in the same batch. Pictures are uint8 HWC RGB (HW where grey) at this edge.
"""

from base64 import b64encode
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genga import skeleton, tags
from genga.errors import GengaError, OtherTagsError, ReleaseError
from genga.families import GALLERY
from genga.gallery import Gallery
from genga.pictures import encode_png
from genga.release import Release, Released
from models.batches import to_signed, to_uint8
from models.export import load_model
from models.folding import folded
from models.kinds import kind_of, try_once
from models.metrics.tags import answers
from models.networks.tagger import probabilities
from models.targets import UNKNOWN, names
from serve.enlarge import Enlargement
from serve.reading import Kind, fit_square, frame_of, kind_of_drawing, on_paper, read_ink
from serve.schemas import (
    MAX_SKETCHES,
    NUM_NEAREST,
    CharacterRequest,
    FamilyInfo,
    Neighbour,
    PoseReading,
    ReleaseInfo,
    SketchRequest,
    Slider,
    StatedLimits,
    Tags,
)

Picture = NDArray[np.uint8]


class RequestError(GengaError):
    """The request names something that this release does not have."""


class NotReleasedError(GengaError):
    """The release has no family that could answer."""

    status = 503


class FaceGenerator(Protocol):
    z_dim: int
    resolution: int
    w_avg: Tensor

    def mapping(self, z: Tensor, tags: Tensor | None = None) -> Tensor: ...
    def synthesis(self, w: Tensor) -> Tensor: ...
    def asked(self, z: Tensor, shows: dict[str, str | bool]) -> Tensor: ...


@dataclass(frozen=True)
class Face:
    """`moves`: slider name -> what is added to w where the slider stands at 1. `shows`: columns that it can be asked for."""

    name: str
    generator: FaceGenerator
    sliders: list[Slider]
    moves: dict[str, Tensor]

    @property
    def shows(self) -> list[str]:
        names: list[str] = getattr(self.generator, "tags", [])
        return names


class Engine:
    """Opening it puts every network to work once: a release that cannot serve is refused whole, and no first caller waits.

    `left_out`: family -> why it is not served. Only a tagger is, of other tags than genga/tags.yaml has now: until people have labeled what is new
    there no other can be trained, and everything else goes on.
    """

    def __init__(self, release: Release) -> None:
        self.left_out = _left_out(release)
        self.release = release = replace(release, families={name: each for name, each in release.families.items() if name not in self.left_out})
        self.networks: dict[str, Any] = {name: _load(released.dir) for name, released in release.families.items() if released.card}
        self.faces = _faces(release, self.networks)
        for name, network in self.networks.items():
            try_once(network, kind_of(release.families[name].card))
        if GALLERY in release.families:
            self.gallery.picture(int(self.gallery.nearest(self.gallery.poses[0], 1).rows[0]))

    # --- what is released

    def released(self, family: str) -> Released:
        try:
            return self.release.families[family]
        except KeyError:
            if family in self.left_out:
                raise NotReleasedError(self.left_out[family]) from None
            held = ", ".join(sorted(self.release.families)) or "nothing"
            raise NotReleasedError(f"this release has no {family}, it has {held}; train and deploy one with `genga repro`") from None

    def version(self, family: str) -> str:
        return f"{family}/{self.released(family).version}"

    def network(self, family: str) -> Any:
        """What it takes and gives stands in its file in models/networks."""
        self.released(family)
        return self.networks[family]

    @cached_property
    def gallery(self) -> Gallery:
        return Gallery(self.released(GALLERY).dir)

    def face(self, request: CharacterRequest) -> Face:
        """The family asked for, or the release's first, with sliders of all the names asked for."""
        if not self.faces:
            raise NotReleasedError("this release has no face generator; train and deploy one with `genga repro`")
        family = request.family or next(iter(self.faces))
        if family not in self.faces:
            raise RequestError(f"family: no face family {family!r} is released; choose one of {', '.join(self.faces)}")
        face = self.faces[family]
        for name in request.tags:
            if name not in face.moves:
                known = f"it has {', '.join(face.moves)}" if face.moves else "it has none"
                raise RequestError(f"tags: {family} has no slider {name!r}; {known}")
        for name, value in request.shows.items():
            if "=" in name:
                group, _, wanted = name.partition("=")
                raise RequestError(f"shows: {name!r} is no group and no yes/no tag; ask for {group!r}: {wanted!r}")
            column = name if isinstance(value, bool) else f"{name}={value}"
            if column not in face.shows:
                known = f"it can show {', '.join(face.shows)}" if face.shows else "it was told no tags, so leave `shows` out or move its sliders"
                raise RequestError(f"shows: {family} cannot be asked for {column!r}; {known}")
        return face

    def family_info(self, name: str) -> FamilyInfo:
        released = self.released(name)
        return FamilyInfo(
            version=released.version,
            metrics=released.metrics,
            licences=released.licences,
            sources=released.sources,
            notes=released.notes,
            learned_from=released.learned_from,
            kimg=released.card.get("kimg"),
            resolution=getattr(self.networks.get(name), "resolution", None),
            sliders=self.faces[name].sliders if name in self.faces else None,
            shows=self.faces[name].shows if name in self.faces else [],
        )

    def info(self) -> ReleaseInfo:
        return ReleaseInfo(
            release=self.release.id,
            families={name: self.family_info(name) for name in self.release.families},
            faces=list(self.faces),
            groups=tags.groups(),
            flags=tags.flags(),
            ordered=tags.ordered(),
            joints=list(skeleton.JOINTS),
            sticks=list(skeleton.STICKS),
            limits=StatedLimits(),
        )

    # --- what it makes

    def character(self, face: Face, request: CharacterRequest, seed: int) -> bytes:
        """PNG, as are all pictures that leave here."""
        generator = face.generator
        z = _latent(seed, generator.z_dim)
        mapped = generator.mapping(z, generator.asked(z, request.shows)) if request.shows else generator.mapping(z)
        w = generator.w_avg + request.psi * (mapped - generator.w_avg)
        for name, value in sorted(request.tags.items()):  # sorted: the sum must not depend on the order of the keys
            w = w + value * face.moves[name]
        return encode_png(to_uint8(generator.synthesis(w))[0])

    def sketch(self, request: SketchRequest, seed: int) -> bytes:
        """Of another drawing than the seeds before it, back to the last multiple of MAX_SKETCHES: so none is seen twice side by side."""
        sketcher = self.network("sketcher")
        latents = torch.stack([_latent(each, sketcher.z_dim) for each in range(seed - seed % MAX_SKETCHES, seed + 1)])
        drawn = sketcher(torch.tensor([request.in_square()], dtype=torch.float32), latents[-1], latents[:-1])
        return encode_png(to_uint8(drawn * 2 - 1)[0, :, :, 0])

    def nearest(self, request: SketchRequest) -> list[Neighbour]:
        """Figures facing either way count, unsure joints less; the picture of a mirrored one is flipped."""
        found = self.gallery.nearest(request.in_square(), NUM_NEAREST, mirroring=True, confidence=request.confidence)
        return [self._neighbour(*each) for each in zip(found.rows, found.distances, found.mirrored, strict=True)]

    def _neighbour(self, row: int, distance: float, mirrored: bool) -> Neighbour:
        picture = self.gallery.picture(row)
        known = {name: self.gallery.store.manifest[name][int(row)].as_py() for name in ("id", "source", "licence")}
        return Neighbour(image=data_url(encode_png(picture[:, ::-1] if mirrored else picture)), distance=distance, **known)

    # --- what it reads

    def read_tags(self, picture: Picture) -> Tags:
        tagger, card = self.network("tagger"), self.released("tagger").card
        face = to_signed(torch.from_numpy(fit_square(picture, tagger.resolution)[None]))
        found = probabilities(tagger(face), card["temperatures"]).numpy()
        by_column = dict(zip(tags.columns(), found[0].tolist(), strict=True))
        said = answers(found, card["thresholds"], card["sure"])[0]
        return Tags(
            tags=by_column,
            groups={group: max(values, key=lambda value: by_column[f"{group}={value}"]) for group, values in tags.groups().items()},
            flags={flag: by_column[flag] >= card["thresholds"][flag] for flag in tags.flags()},
            unsure=[name for name, value in zip(names(), said, strict=True) if value == UNKNOWN],
            version=self.version("tagger"),
        )

    def read_pose(self, picture: Picture, kind: Kind | None) -> PoseReading:
        """As a drawing of this kind; None: of the kind that it seems to be."""
        ink = read_ink(on_paper(picture))
        kind, frame = kind or kind_of_drawing(ink), frame_of(ink)
        family = f"{kind}-pose"
        network = self.network(family)
        joints, confidence = network(torch.from_numpy(frame.cut(ink, network.resolution))[None, None])
        pose = frame.to_picture(joints[0].numpy(), ink)
        order = facing_us(pose) if kind == "stick" else np.arange(len(skeleton.JOINTS))
        return PoseReading(
            pose=pose[order].tolist(),
            kind=kind,
            confidence=confidence[0, order].tolist(),
            width=picture.shape[1],
            height=picture.shape[0],
            version=self.version(family),
        )

    def enlargement(self, picture: Picture) -> Enlargement:
        return Enlargement(self.network("upscaler"), picture)


def _left_out(release: Release) -> dict[str, str]:
    try:
        if "tagger" in release.families:
            tags.check_tagger(release.families["tagger"].card, "the released tagger")
    except OtherTagsError as error:
        return {"tagger": str(error)}
    return {}


def _load(model_dir: Path) -> nn.Module:
    network, _ = load_model(model_dir)
    return folded(network)


def facing_us(pose: NDArray[Any]) -> NDArray[np.int64]:
    """Which joint of a stick figure (11, 2) is taken for each: the drawing does not tell its left limbs, so they are those on the right."""
    order = np.arange(len(skeleton.JOINTS))
    for left, right in skeleton.LIMBS.values():
        if pose[list(left), 0].sum() < pose[list(right), 0].sum():
            order[[*left, *right]] = [*right, *left]
    return order


def _faces(release: Release, networks: dict[str, Any]) -> dict[str, Face]:
    """The one that draws most pixels first: it answers where no family is asked for."""
    generators = {name: network for name, network in networks.items() if kind_of(release.families[name].card) == "face"}
    faces = [_face(release.families[name], generator) for name, generator in generators.items()]
    faces.sort(key=lambda face: (-face.generator.resolution, -len(face.sliders), face.name))
    return {face.name: face for face in faces}


def _face(released: Released, generator: FaceGenerator) -> Face:
    sliders, moves = [], {}
    order = {name: place for place, name in enumerate([*tags.columns(), *tags.ordered()])}
    for name, known in sorted(released.directions.get("sliders", {}).items(), key=lambda slider: order.get(slider[0], len(order))):
        move = known["scale"] * torch.tensor(known["vector"], dtype=torch.float32)
        if move.shape != generator.w_avg.shape:
            found, expected = len(move), len(generator.w_avg)
            raise ReleaseError(
                f"{released.dir}/directions.json: slider {name} has {found} numbers, expected {expected}; run `dvc repro` to find it again"
            )
        group = "flags" if name in tags.flags() else name.partition("=")[0]
        sliders.append(Slider(name=name, group=group, effect=known["effect"], learned_from=known["learned_from"], drag=known["drag"]))
        moves[name] = move
    return Face(released.family, generator, sliders, moves)


def _latent(seed: int, z_dim: int) -> Tensor:
    return torch.randn(1, z_dim, generator=torch.Generator().manual_seed(seed))


def data_url(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
