"""params.yaml, read once and checked: frozen sections, no defaults in Python (a default here is invisible to DVC).

Every stage takes its own section. Unknown keys, wrong types and values out of range stop with the key's name.
Durations are in kimg, thousands of images shown.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pathspec import PathSpec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from genga.errors import ParamsError


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]
SEEDS = 2**32
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
PowerOfTwo = Literal[16, 32, 64, 128, 256, 512, 1024]
Side = Literal[16, 32, 64, 96, 128, 256, 512, 1024]
INCEPTION_FEATURES = 2048
SHORT = 1_000_000  # bytes of a file that is compared by its content


# --- data


class DrawFaces(Section):
    count: int = Field(ge=1)
    size: int = Field(ge=32, le=512)
    seed: Seed


class SampleSource(Section):
    kind: Literal["sample"]
    path: Literal["data/faces/sample"]


class FolderSource(Section):
    kind: Literal["folder"]
    path: str


class ArchiveSource(Section):
    kind: Literal["archive"]
    path: str


class KaggleSource(Section):
    """`path` is what DVC watches: the code that fetches; the data itself is named by dataset and version."""

    kind: Literal["kaggle"]
    path: Literal["stages/kaggle.py"]
    dataset: str = Field(pattern=r"^[\w-]+/[\w.-]+$")
    version: int = Field(ge=1)


class ImportFaces(Section):
    source: Annotated[SampleSource | FolderSource | ArchiveSource | KaggleSource, Field(discriminator="kind")]
    licence: str = Field(min_length=1)
    origin: str = Field(min_length=1, description="where the pictures come from, in words; shown on cards and the page")
    max_picture_bytes: int = Field(ge=1)
    max_picture_pixels: int = Field(ge=1)
    min_side: int = Field(ge=1)
    max_archive_bytes: int = Field(ge=1, description="unpacked size of all members together")
    max_archive_ratio: float = Field(gt=1, description="unpacked size / packed size of one archive")
    max_rejected: Share


class Crop(Section):
    """Faces are found by an OpenCV cascade: a local file, or a URL whose content must have this sha256."""

    cascade: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    margin: float = Field(ge=0, description="added on each side, as a share of the found box")
    min_face: int = Field(ge=16, description="side in pixels")
    scale_factor: float = Field(gt=1, le=2, description="step between the sizes that are searched")
    min_neighbours: int = Field(ge=1, description="overlapping finds that make a face; more finds fewer, surer faces")


class Splits(Section):
    val: Share
    test: Share

    @model_validator(mode="after")
    def some_are_learned_from(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val and test are {self.val:g} and {self.test:g}, expected less than 1 together: the rest is learned from")
        return self


class PrepareFaces(Splits):
    sizes: list[Side] = Field(min_length=1)
    crop: Crop | None
    near_duplicate_bits: int = Field(ge=0, le=16, description="perceptual hashes this far apart are compared as pictures")
    near_duplicate_rms: float = Field(
        ge=0, description="below this root mean square difference, of 255, they are one picture, unless one part differs far more"
    )


class LabelFaces(Section):
    """Label Studio exports stand as JSON files in `annotations/`."""

    human_only: bool = Field(description="leave out labels that came with the data")
    pose_tolerance: float = Field(gt=0, description="people agree on a joint within this share of the longer side of the pose's box")
    ties: Literal["newest", "leave_out"] = Field(description="what counts where as many people say one thing as another; see labeling/agreement.py")


class LabelStudioParams(Section):
    """Label Studio on this machine: where it and the models that guess for it answer, and how people share the work."""

    port: int = Field(ge=1024, le=65535)
    backend_port: int = Field(ge=1024, le=65535)
    batch_size: int = Field(ge=1, description="tasks in one request")
    annotators_per_task: int = Field(ge=1, description="people who are asked the same question; 2 or more show how far they agree")
    tags_per_picture: int | None = Field(ge=1, description="tags that a queued picture is asked for, the most telling ones; null: all")


# --- training


class Training(Section):
    """What the loop needs; see models/loop.py."""

    batch_size: int = Field(ge=1)
    total_kimg: float = Field(gt=0)
    log_kimg: float = Field(gt=0)
    sample_kimg: float = Field(gt=0)
    checkpoint_kimg: float = Field(gt=0)
    precision: Literal["auto", "bf16", "fp32"]
    seed: Seed


class Views(Section):
    """How far a picture seen in training may differ from the stored one."""

    shift: float = Field(ge=0, le=0.5, description="to each side, as a share of the picture's side")
    scale: float = Field(ge=0, le=1, description="the logarithm of the size varies by this much")
    turn: float = Field(ge=0, le=180, description="to each side, in degrees")


class TaggerParams(Section):
    arch: Literal["tagger"]
    resolution: PowerOfTwo
    width: int = Field(ge=8)
    dropout: Share
    mirrored: bool = Field(description="a picture and its mirror image are read and averaged: surer, in twice the time")


class TrainTagger(Section):
    model: TaggerParams
    training: Training
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    label_smoothing: Share
    balance: Share = Field(description="0: every label counts the same; 1: every value does, however rare")
    own_opinion: Share = Field(description="how much of what is asked for is, in the end, what the tagger itself has said: labels may be wrong")
    views: Views
    brightness: Share
    min_labels: int = Field(ge=1, description="with fewer training labels than this, a tag is learned from the drawn sample's truth")
    drawn_share: Share = Field(description="of a batch, where tags are learned from the drawn sample beside other faces")
    drawn_held_out: float = Field(gt=0, lt=0.5, description="share of the drawn sample for val, and as much again for test, in that case")
    weak_labels: bool = Field(description="hair and eye colour of faces without labels are also named by clustering their colours")
    right: Share = Field(description="of the answers about held-out faces, for each tag: the tagger abstains from less sure ones")
    ema_kimg: float = Field(ge=0)

    @model_validator(mode="after")
    def a_batch_can_be_normed(self) -> Self:
        if self.training.batch_size < 2:
            raise ValueError(f"batch norm compares the pictures of a batch; make training.batch_size 2 or more, it is {self.training.batch_size}")
        return self


class TagFaces(Section):
    batch_size: int = Field(ge=1)


def ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the first number must not be above the second")
    return limits


HeadRatio = Annotated[float, Field(ge=4, le=10, description="body height in heads")]
Fill = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]],
    AfterValidator(ordered),
    Field(description="from, to: the figure's longer side as a share of the picture"),
]


class Sticks(Section):
    """`head_ratio` places the neck and what is below it, in poses that come from no file; how large heads are drawn is a matter of the styles in
    drawing/stick.py."""

    count: int = Field(ge=1)
    size: int = Field(ge=32)
    head_ratio: Annotated[tuple[HeadRatio, HeadRatio], AfterValidator(ordered)]
    fill: Fill
    palette: str | None = Field(description="of PALETTES in drawing/stick.py: a colour for each limb; null: gray")


Degrees = Annotated[float, Field(ge=-180, le=180)]
Times = Annotated[float, Field(ge=0.5, le=2, description="times what drawing/poses.py draws")]
LegTimes = Annotated[float, Field(ge=0.7, le=1.25, description="as Times; the body stays as tall, so its torso is as much shorter")]
Focal = Annotated[float, Field(ge=20, le=1000, description="in mm, where the body fills a film 24 mm high")]


class CameraRanges(Section):
    """From, to. `turn` walks around the body, 0 is before it; `elevation` looks down on it."""

    turn: Annotated[tuple[Degrees, Degrees], AfterValidator(ordered)]
    frontal: Share = Field(description="share of the figures that stand about the front, most of them turned less than 45 degrees")
    elevation: Annotated[tuple[Degrees, Degrees], AfterValidator(ordered)]
    focal: Annotated[tuple[Focal, Focal], AfterValidator(ordered)]


class Mannequins(Section):
    """Projections of a posed 3D model: thresholded at `threshold` of 255, then blurred by `blur_sigma` pixels; and line art of the same pose.

    `shoulders` and `legs` are of bodies in poses that come from no file; for a pose from a file drawing/lift.py finds a body that has its lengths.
    """

    count: int = Field(ge=1)
    size: int = Field(ge=32)
    line_art: PowerOfTwo
    threshold: int = Field(ge=1, le=255)
    blur_sigma: float = Field(ge=0, le=20)
    head_ratio: Annotated[tuple[HeadRatio, HeadRatio], AfterValidator(ordered)]
    shoulders: Annotated[tuple[Times, Times], AfterValidator(ordered)]
    legs: Annotated[tuple[LegTimes, LegTimes], AfterValidator(ordered)]
    camera: CameraRanges
    fill: Fill

    @model_validator(mode="after")
    def two_sizes(self) -> Self:
        if self.size == self.line_art:
            raise ValueError("size and line_art name two arrays of one store and must differ")
        return self


class PoseFiles(Section):
    """Poses of the user's own, in a file or a folder: .npz, .json (ours, OpenPose, COCO, Label Studio) and .bvh. A `sources.csv` in the
    folder (file, source, licence) says it for single files; where `path` is a file, `source` and `licence` must say what a table beside it says."""

    path: str
    share: Share = Field(description="of the figures take their pose from the files, the rest from the limits of drawing/poses.py")
    source: str = Field(min_length=1, description="where the poses come from, in words")
    licence: str = Field(min_length=1)
    motion_frames: int = Field(ge=1, description="taken from each motion, as far from one another as they can be")
    vary: float = Field(ge=0, le=45, description="degrees: figures to learn from stray from these poses by a normal of at most this spread")


class OwnFigures(Section):
    """The user's own drawings: pictures in the folders sticks/ and figures/, and Label Studio exports of their joints beside them."""

    path: str
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    pose_tolerance: float = Field(gt=0, description="people agree on a joint within this share of the longer side of the pose's box")
    max_picture_bytes: int = Field(ge=1)
    max_picture_pixels: int = Field(ge=1)
    min_side: int = Field(ge=1)
    max_rejected: Share


class DrawFigures(Splits):
    poses: PoseFiles
    own: OwnFigures
    held_out_styles: list[str] = Field(
        description="names or patterns of stick styles and mannequin looks in which val and test are drawn, and train never; none: all everywhere"
    )
    sticks: Sticks
    mannequins: Mannequins
    seed: Seed


class PoseParams(Section):
    arch: Literal["pose"]
    resolution: Literal[32, 64, 128, 256]
    width: int = Field(ge=8, multiple_of=4)
    strokes: bool = Field(description="whether each limb is a stroke of the drawing, as in stick figures: then none is left without a limb")


class TrainPose(Section):
    model: PoseParams
    training: Training
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    views: Views
    ema_kimg: float = Field(ge=0)


class IndexFigures(Section):
    size: int = Field(ge=32, description="which pictures the page shows, by their side: `line_art` or `size` of draw_figures.mannequins")


class DCGANParams(Section):
    arch: Literal["dcgan"]
    resolution: Side
    z_dim: int = Field(ge=1)
    width: int = Field(ge=8)
    kernel: Literal[3, 4, 5]
    bn_momentum: float = Field(gt=0, lt=1, description="weight of the newest batch in the running mean (PyTorch's sense)")
    activation: Literal["relu", "prelu"]
    dropout: Share
    d_batch_norm: bool = Field(description="in the discriminator too, as in the paper; R1 and R2, which speak of one picture, must then be 0")


class BEGANParams(Section):
    arch: Literal["began"]
    resolution: PowerOfTwo
    z_dim: int = Field(ge=1)
    width: int = Field(ge=8)


class StyleGAN2Params(Section):
    arch: Literal["stylegan2"]
    resolution: PowerOfTwo
    z_dim: int = Field(ge=1)
    w_dim: int = Field(ge=1)
    mapping_layers: int = Field(ge=1)
    channel_base: int = Field(ge=1, description="channels at resolution r are min(channel_base / r, channel_max)")
    channel_max: int = Field(ge=8)
    noise: bool = Field(description="noise in each layer, new for every picture in training, the same for all afterwards")


class FastGANParams(Section):
    arch: Literal["fastgan"]
    resolution: PowerOfTwo
    z_dim: int = Field(ge=1)
    channel_base: int = Field(ge=1, description="channels at resolution r are min(channel_base / r, channel_max)")
    channel_max: int = Field(ge=8)


class Adapt(Section):
    """Adaptive augmentation (ADA): see models/augment.py."""

    target: float = Field(gt=0, lt=1, description="where the mean sign of what D says of real pictures is to stay")
    kimg: float = Field(gt=0, description="the probability moves by at most 1 in this time")


class Adversarial(Section):
    """Two networks against each other; see models/recipes/gan.py."""

    training: Training
    g_lr: float = Field(gt=0)
    d_lr: float = Field(gt=0)
    beta1: float = Field(ge=0, lt=1)
    beta2: float = Field(gt=0, lt=1)
    loss: Literal["logistic", "relativistic"]
    r1_gamma: float = Field(ge=0)
    r2_gamma: float = Field(ge=0, description="the same penalty on made pictures")
    r1_interval: int = Field(ge=1, description="steps from one penalty to the next, of either kind")
    label_noise: Share = Field(description="share of the discriminator's labels flipped")
    augment: Share = Field(description="probability of each differentiable augmentation; where it adapts, at the start")
    adapt: Adapt | None
    ema_kimg: float = Field(ge=0)

    @model_validator(mode="after")
    def relativistic_labels_are_right(self) -> Self:
        if self.loss == "relativistic" and self.label_noise:
            raise ValueError("the relativistic loss compares pairs and has no labels to be wrong; make label_noise 0")
        return self


def _must_be_whole_groups(training: Training) -> None:
    """Minibatch stddev compares pictures that are all made or all real."""
    if training.batch_size % 4:
        raise ValueError(f"the discriminator compares groups of 4 pictures; make training.batch_size a multiple of 4, it is {training.batch_size}")


class WarmUp(Section):
    """Before the contest the generator learns to rebuild pictures from what an encoder sees in them; the encoder is then thrown away."""

    kimg: float = Field(gt=0)
    lr: float = Field(gt=0)
    kl_weight: float = Field(ge=0, description="how strongly the encoder's z is kept a normal distribution")


class Growth(Section):
    side: Literal[4, 8, 16, 32, 64, 128, 256, 512]
    until_kimg: float = Field(gt=0)
    fade_kimg: float = Field(ge=0, description="from then on the next larger side is faded in for so long")


class Style(Section):
    """What only stylegan2 has; see models/recipes/style.py."""

    mixing: Share = Field(description="share of the batches whose later layers take their style from a second latent")
    path_weight: float = Field(ge=0, description="of the path-length penalty")
    path_interval: int = Field(ge=1, description="steps from one path-length penalty to the next")
    residual: bool = Field(description="the discriminator's levels add to the one before, as in the paper, instead of to the picture at their size")


class Began(Section):
    """See models/recipes/began.py."""

    gamma: float = Field(gt=0, le=1, description="small: faces that are alike and clean; large: various and rough")
    lambda_k: float = Field(gt=0, description="how fast the balance of the two networks is kept")


class TrainFace(Adversarial):
    model: Annotated[BEGANParams | DCGANParams | FastGANParams | StyleGAN2Params, Field(discriminator="arch")]
    faces: Literal["prepared", "tagged"] = Field(
        description="tagged: stylegan2 is told what tag_faces says of each face and then draws what it is asked for; prepared: pictures alone"
    )
    began: Began | None = Field(description="null for every arch but began")
    style: Style | None = Field(description="null for every arch but stylegan2")
    warm_up: WarmUp | None
    growth: list[Growth] = Field(description="smaller sides to begin at, each twice the one before; afterwards the model's resolution")

    @model_validator(mode="after")
    def began_is_of_began(self) -> Self:
        if (self.began is None) == (self.model.arch == "began"):
            raise ValueError("began has gamma and lambda_k in began, other archs have null there")
        if self.began and (self.warm_up or self.r1_gamma or self.r2_gamma or self.label_noise or self.augment or self.adapt):
            raise ValueError("began knows no warm_up, r1_gamma, r2_gamma, label_noise, augment or adapt; make them null or 0")
        if self.began and self.loss != "logistic":
            raise ValueError(f"loss is {self.loss}, expected logistic for began, which has a loss of its own and reads none here; make it logistic")
        return self

    @model_validator(mode="after")
    def penalties_speak_of_one_picture(self) -> Self:
        if isinstance(self.model, DCGANParams) and self.model.d_batch_norm and (self.r1_gamma or self.r2_gamma):
            raise ValueError(
                "d_batch_norm lets pictures of a batch see each other, R1 and R2 speak of one; make it false, or r1_gamma and r2_gamma 0"
            )
        return self

    @model_validator(mode="after")
    def style_is_of_stylegan2(self) -> Self:
        if (self.style is None) == (self.model.arch == "stylegan2"):
            raise ValueError("stylegan2 has mixing, path_weight, path_interval and residual in style, other archs have null there")
        return self

    @model_validator(mode="after")
    def whole_groups_are_compared(self) -> Self:
        if self.model.arch in ("stylegan2", "fastgan"):
            _must_be_whole_groups(self.training)
        return self

    @model_validator(mode="after")
    def only_stylegan2_is_told_tags(self) -> Self:
        if self.faces == "tagged" and self.model.arch != "stylegan2":
            raise ValueError("only stylegan2 can be told tags; make faces: prepared")
        return self

    @model_validator(mode="after")
    def can_grow(self) -> Self:
        sides = [*(step.side for step in self.growth), self.model.resolution]
        if self.growth and self.model.arch != "stylegan2":
            raise ValueError("only stylegan2 can grow; leave growth empty")
        for side, larger in pairwise(sides):
            if larger != 2 * side:
                raise ValueError(
                    f"growth goes from side {side} to {larger}, expected {2 * side}: sides from small to large, each twice the one before, up to the "
                    "model's resolution, since only what is newest is faded in; list the sides between, or change model.resolution"
                )
        ends = [step.until_kimg for step in self.growth]
        if ends != sorted(set(ends)):
            raise ValueError("growth must list rising until_kimg: each side is learned after the one before")
        for step, after in pairwise(self.growth):
            if step.fade_kimg > (stay := after.until_kimg - step.until_kimg):
                raise ValueError(
                    f"side {after.side} is faded in for {step.fade_kimg:g} kimg and stays for {stay:g}, expected a fade no longer than the stay; "
                    f"lower fade_kimg of side {step.side}, or raise until_kimg of side {after.side}"
                )
        return self

    @model_validator(mode="after")
    def there_is_time_for_the_contest_at_full_size(self) -> Self:
        total_kimg, last = self.training.total_kimg, self.growth[-1] if self.growth else None
        if self.warm_up and self.warm_up.kimg >= total_kimg:
            raise ValueError(
                f"the warm-up lasts {self.warm_up.kimg:g} kimg, expected less than training.total_kimg, which is {total_kimg:g}; "
                "raise training.total_kimg, or lower warm_up.kimg"
            )
        if last and last.until_kimg + last.fade_kimg >= total_kimg:
            raise ValueError(
                f"the model's resolution is faded in at {last.until_kimg + last.fade_kimg:g} kimg, expected less than training.total_kimg, "
                f"which is {total_kimg:g}; raise training.total_kimg, or lower growth's last until_kimg and fade_kimg"
            )
        return self


class WatchCollapse(Section):
    """When a training of a face generator counts as collapsing, and what follows; see models/recipes/watched.py."""

    action: Literal["flag", "stop"] = Field(description="flag: said in the log, on the card and in MLflow; stop: the training ends there")
    every_kimg: float = Field(gt=0, description="how often samples are held against the pictures trained on")
    samples: int = Field(ge=16)
    from_kimg: float = Field(
        ge=0, description="counted from the warm-up on, half of what follows it at most; before, every generator draws the same again and again"
    )
    near_identical: Share = Field(description="above this share of samples that are nearly another one,")
    spread: float = Field(ge=0, description="where their spread, in that of real pictures, is not above this and no longer grows")
    coverage_kept: Share = Field(description="below this share of the best coverage that the training had")
    patience: int = Field(ge=1, description="so many looks in a row make an alarm")


class UpscalerParams(Section):
    arch: Literal["upscaler"]
    width: int = Field(ge=8)
    blocks: int = Field(ge=1)


class SRGANParams(Section):
    """The third system's upscaler."""

    arch: Literal["srgan"]
    width: int = Field(ge=8)
    blocks: int = Field(ge=1)


class Sharpening(Section):
    """The end of an upscaler's training, against a discriminator; see models/recipes/upscaler.py."""

    kimg: float = Field(gt=0, description="the last of the training's total_kimg")
    weight: float = Field(gt=0, description="of what the discriminator says, beside the L1 distance: more is sharper and less faithful")
    lr: float = Field(gt=0)
    d_lr: float = Field(gt=0)
    r1_gamma: float = Field(ge=0)
    r1_interval: int = Field(ge=1, description="steps from one R1 penalty to the next")
    channel_base: int = Field(ge=1, description="the discriminator's channels at side r are min(channel_base / r, channel_max)")
    channel_max: int = Field(ge=8)


class SRGANContest(Section):
    """The end of the third system's training, against its discriminator; see models/recipes/srgan.py."""

    kimg: float = Field(gt=0, description="the last of the training's total_kimg")
    weight: float = Field(gt=0, description="of the discriminator's word beside the squared error")
    d_lr: float = Field(gt=0)
    d_width: int = Field(ge=8, description="the discriminator's channels at full size, doubled at each halving but the last")


class TrainUpscaler(Section):
    model: Annotated[UpscalerParams | SRGANParams, Field(discriminator="arch")]
    training: Training
    lr: float = Field(gt=0)
    ema_kimg: float = Field(ge=0)
    crop: int = Field(ge=32, multiple_of=4, description="side of the high-resolution training crops")
    adversarial: Sharpening | None = Field(description="null: as near to the truth as can be; else sharper, and less near; null for srgan")
    srgan: SRGANContest | None = Field(description="null for the upscaler")

    @model_validator(mode="after")
    def each_has_its_own(self) -> Self:
        if (self.srgan is None) == (self.model.arch == "srgan") or (self.srgan and self.adversarial):
            raise ValueError("srgan has its contest in srgan and adversarial: null; the upscaler has srgan: null")
        return self

    @model_validator(mode="after")
    def the_contest_is_the_end(self) -> Self:
        for name, contest in (("adversarial", self.adversarial), ("srgan", self.srgan)):
            if contest and contest.kimg >= self.training.total_kimg:
                raise ValueError(f"{name}.kimg is the last part of training.total_kimg and must be less")
        return self

    @model_validator(mode="after")
    def the_discriminator_can_compare_crops(self) -> Self:
        if self.adversarial:
            _must_be_whole_groups(self.training)
            halved = 2 ** (self.crop.bit_length() - 3)  # the discriminator halves a crop until it is below 8
            if self.crop % halved:
                below = self.crop - self.crop % halved
                raise ValueError(
                    f"crop is {self.crop}, which is odd before it is halved to less than 8, expected 4, 5, 6 or 7 times a power of two "
                    f"for the discriminator; make it {below} or {below + halved}, or adversarial null"
                )
        return self


class SketcherParams(Section):
    arch: Literal["sketcher"]
    resolution: PowerOfTwo
    z_dim: int = Field(ge=2, description="by how many numbers looks are told apart")
    width: int = Field(ge=8, description="of the network that says which drawing can be bent to which pose")


class StickUNetParams(Section):
    """The first system's sketch generator."""

    arch: Literal["stick_unet"]
    resolution: PowerOfTwo
    z_dim: int = Field(ge=1)
    width: int = Field(ge=8)


class SketchGan(Section):
    """How the first system's generator is trained; see models/recipes/stick_gan.py."""

    beta1: float = Field(ge=0, lt=1)
    ink_weight: float = Field(ge=0, description="a pixel of ink counts for 1 + this many pixels of paper")
    adversarial: float = Field(ge=0, description="weight of the discriminator's word beside that of the pixels")
    views: Views


class TrainSketcher(Section):
    model: Annotated[SketcherParams | StickUNetParams, Field(discriminator="arch")]
    training: Training
    lr: float = Field(gt=0)
    ema_kimg: float = Field(ge=0)
    remembered: int | None = Field(ge=1, description="drawings that the sketcher keeps at most; null for stick_unet, which keeps none")
    gan: SketchGan | None = Field(description="null for the sketcher, which is not trained so")

    @model_validator(mode="after")
    def each_has_its_own(self) -> Self:
        remembers = self.model.arch == "sketcher"
        if (self.remembered is None) == remembers or (self.gan is None) != remembers:
            raise ValueError("the sketcher has a number of drawings in remembered and gan: null; stick_unet has remembered: null and gan")
        return self


class FindDirections(Section):
    samples: int = Field(ge=100)
    psi: float = Field(gt=0, le=1, description="truncation of the sampled latents")
    regularisation: float = Field(gt=0, description="of the regression, as a share of a latent's variance")
    decorrelate: float = Field(ge=0, description="how strongly a direction is turned away from what changes other tags")
    sigmas: float = Field(gt=0, description="how far a slider goes at 1, in standard deviations of the latents")
    judged: int = Field(ge=2, description="faces on which each slider is tried")
    min_effect: float = Field(gt=0, description="a slider is kept when going from -1 to 1 raises its tag's probability by this much")
    seed: Seed


class TransferTag(Adversarial):
    """A generator for one tag: layers appended to a trained one, trained on that tag's faces only."""

    tag: str
    family: str
    min_faces: int = Field(ge=1)
    width: int = Field(ge=8, description="channels of the appended layers at full size; the discriminator has as many")

    @model_validator(mode="after")
    def whole_groups_are_compared(self) -> Self:
        _must_be_whole_groups(self.training)
        return self


# --- judging and serving


class InceptionFile(Section):
    """Weights of the network that FID is measured with, see models/metrics/extractors.py; what the file holds must have this sha256."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def read(self) -> bytes:
        """ParamsError where it is not there or another."""
        try:
            data = Path(self.path).read_bytes()
        except OSError as error:
            raise ParamsError(
                f"evaluate.inception.path is {self.path}, which cannot be read ({error.strerror}); correct it in params.yaml"
            ) from error
        if (sha256 := hashlib.sha256(data).hexdigest()) != self.sha256:
            raise ParamsError(f"{self.path} has the sha256 {sha256}, expected {self.sha256}; correct evaluate.inception in params.yaml")
        return data


class Evaluate(Section):
    samples: int = Field(ge=16, description="drawn by each face generator, and real faces to compare them with")
    batch_size: int = Field(ge=1)
    seed: Seed
    inception: InceptionFile | None = Field(description="null: no FID, whose weights Genga does not bring")

    @model_validator(mode="after")
    def fid_has_samples_enough(self) -> Self:
        if self.inception and self.samples < INCEPTION_FEATURES:
            raise ValueError(
                f"{self.samples} samples were found, expected {INCEPTION_FEATURES} or more for FID, whose covariance is of so many features; "
                "raise samples (published FIDs take 50000), or make inception null"
            )
        return self


Better = Literal["lower", "higher"]


class GateRule(Section):
    """A challenger takes over when it gains at least `min_gain` on the champion, in the metric's own unit: at 0 also when it is as good."""

    metric: str
    better: Better
    min_gain: float


# What stages/judge.py measures of each family, and which way that is better; `*` stands for the name of a tag or a joint. Numbers of what a family is
# held against, such as bicubic enlarging, decide nothing and are left out, and sharpness, which noise has most of.
FACES_ARE_JUDGED_BY: dict[str, Better] = {
    **{"kid": "lower", "fd": "lower", "near_identical": "lower"},
    **{"precision": "higher", "recall": "higher", "density": "higher", "coverage": "higher"},
}
POSES_ARE_JUDGED_BY: dict[str, Better] = {"pck_0.1": "higher", "pck_0.05": "higher", "pdj_0.2": "higher", "pck_0.1/*": "higher"}
JUDGED_BY: dict[str, dict[str, Better]] = {
    "tagger": {"macro_f1": "higher", "ece": "lower", "*/accuracy": "higher", "*/macro_f1": "higher", "*/ece": "lower"},
    "stick-pose": POSES_ARE_JUDGED_BY,
    "figure-pose": POSES_ARE_JUDGED_BY,
    "upscaler": {"psnr": "higher", "ssim": "higher", "sharpness_error": "lower"},
    "sketcher": {"pck_0.1": "higher", "ink_f1": "higher", "l1": "lower", "variety": "higher"},
    "tag-transfer": {"tag_share": "higher"},  # and as a face generator
}
RESERVED = (*JUDGED_BY, "gallery", "promotions")  # names in the registry that no face generator may take


def judged_by(family: str, *, inception: bool) -> dict[str, Better]:
    """Metric -> which way it is better, of one of the families that JUDGED_BY names, or of a face generator."""
    own = JUDGED_BY.get(family, {})
    if family in JUDGED_BY and family != "tag-transfer":
        return own
    extractors = ["", "edges/", *(["inception/"] if inception else [])]
    faces = {f"{extractor}{name}": better for extractor in extractors for name, better in FACES_ARE_JUDGED_BY.items()}
    if inception:
        faces["inception/fid"] = faces.pop("inception/fd")
    return faces | own


def named(family: str, metrics: Iterable[str]) -> list[str]:
    """This family's metrics with each tag's or joint's name in place of `*`."""
    from genga.skeleton import JOINTS  # here: for its params alone no stage depends on these
    from genga.tags import flags, groups

    names = [*groups(), *flags()] if family == "tagger" else JOINTS
    return list(dict.fromkeys(metric.replace("*", name) for metric in metrics for name in names))


class Deploy(Section):
    keep_releases: int = Field(ge=1, description="older model folders kept for requests under way and rollback")


class Params(Section):
    draw_faces: DrawFaces
    import_faces: ImportFaces
    prepare_faces: PrepareFaces
    labels: LabelFaces
    label_studio: LabelStudioParams
    train_tagger: TrainTagger
    tag_faces: TagFaces
    draw_figures: DrawFigures
    train_pose: dict[Literal["stick", "figure"], TrainPose]
    index_figures: IndexFigures
    train_face: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], TrainFace]  # names of folders, stages and models
    watch_collapse: WatchCollapse
    train_upscaler: TrainUpscaler
    train_sketcher: TrainSketcher
    find_directions: FindDirections
    transfer_tag: TransferTag
    evaluate: Evaluate
    gate: dict[str, GateRule]
    deploy: Deploy

    @model_validator(mode="after")
    def both_kinds_of_figures_are_read(self) -> Self:
        if missing := [kind for kind in ("stick", "figure") if kind not in self.train_pose]:
            raise ValueError(f"train_pose has no {' and no '.join(missing)}, expected stick and figure; add it there")
        return self

    @model_validator(mode="after")
    def transfer_has_a_base(self) -> Self:
        if self.transfer_tag.family not in self.train_face:
            raise ValueError(f"transfer_tag.family is {self.transfer_tag.family}, expected one of train_face: {', '.join(sorted(self.train_face))}")
        return self

    @model_validator(mode="after")
    def no_face_generator_takes_anothers_name(self) -> Self:
        if taken := sorted(self.train_face.keys() & set(RESERVED)):
            raise ValueError(f"train_face has a family {taken[0]}, a name that the registry needs for something else; give it another one")
        return self

    @model_validator(mode="after")
    def pictures_are_there_at_every_size(self) -> Self:
        sizes = self.prepare_faces.sizes
        sides = {f"train_face.{family}": params.model.resolution for family, params in self.train_face.items()}
        for section, side in {"train_tagger": self.train_tagger.model.resolution, **sides}.items():
            if side not in sizes:
                raise ValueError(
                    f"{section}.model.resolution is {side}, expected one of prepare_faces.sizes, {_listed(sizes)}; add {side} to them, or change it"
                )
        if self.train_upscaler.crop > max(sizes):
            raise ValueError(
                f"train_upscaler.crop is {self.train_upscaler.crop}, expected at most the largest of prepare_faces.sizes, {max(sizes)}; "
                "add a size to them, or lower the crop"
            )
        return self

    @model_validator(mode="after")
    def figures_are_there_at_every_size(self) -> Self:
        side, shown, mannequins = self.train_sketcher.model.resolution, self.index_figures.size, self.draw_figures.mannequins
        if side != mannequins.line_art:
            raise ValueError(
                f"train_sketcher.model.resolution is {side}, expected that of draw_figures.mannequins.line_art, {mannequins.line_art}; "
                "make the two the same"
            )
        if shown not in (mannequins.line_art, mannequins.size):
            raise ValueError(
                f"index_figures.size is {shown}, expected draw_figures.mannequins.line_art or size, {mannequins.line_art} or {mannequins.size}; "
                "make it one of the two"
            )
        return self

    @model_validator(mode="after")
    def each_family_has_a_rule_that_can_decide(self) -> Self:
        families = {*JUDGED_BY, *self.train_face}
        if unruled := sorted(families - self.gate.keys()):
            raise ValueError(f"gate has no rule for {_listed(unruled)}, expected one for each family; add it there")
        if unscored := sorted(self.gate.keys() - families):
            raise ValueError(f"gate has a rule for {_listed(unscored)}, expected only ones for {_listed(sorted(families))}; take it out there")
        for family, rule in self.gate.items():
            known = judged_by(family, inception=self.evaluate.inception is not None)
            found = [better for metric, better in known.items() if fnmatchcase(rule.metric, metric)]
            if not found:
                raise ValueError(f"gate.{family}.metric is {rule.metric}, expected one of {_listed(known)}")
            if rule.better not in found:
                raise ValueError(f"gate.{family}.better is {rule.better}, expected {found[0]}: that is how {rule.metric} is better")
        return self


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def parse_params(document: Any, name: str) -> Params:
    """The checked sections, or ParamsError with one sentence that names every wrong key. `name` is the file to mend."""
    try:
        text = json.dumps(document, default=_of_yaml)
    except TypeError as error:
        raise ParamsError(f"{name} has a key that is no word ({error}); write it in quotes and run again") from error
    try:
        return Params.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (found {json.dumps(fault['input'])[:60]}{_as_number(fault)})"
            for fault in error.errors()
        )
        raise ParamsError(f"{name}: {faults}; correct it there and run again") from error


def _as_number(fault: Any) -> str:
    """How to write a number that YAML took for a word, as 1e-4 without a point and numbers in quotes are."""
    if fault["type"] not in ("float_type", "int_type") or not isinstance(fault["input"], str):
        return ""
    try:
        number = float(fault["input"])
    except ValueError:
        return ""
    if not isfinite(number):
        return ""
    plain = int(number) if fault["type"] == "int_type" and number.is_integer() else number
    return f", which YAML takes for a word; write {yaml.safe_dump(plain).split()[0]}"


def _of_yaml(value: Any) -> dict[str, str]:
    """What YAML has and params do not, such as dates: no field takes it, so the key is named with what was found."""
    return {f"{type(value).__name__} without quotes": str(value)}


def read_params(path: Path) -> str:
    """The text of params.yaml."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ParamsError(f"no {path} here; run from the project's folder") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not in UTF-8 ({error}); save it as UTF-8 and run again") from error
    except OSError as error:
        raise ParamsError(f"{path} cannot be read ({error.strerror}); expected a file that you may read, put it right and run again") from error


_first_read: dict[Path, Any] = {}
_deps_at_start: dict[str, Any] = {}


def load_params(path: Path = Path("params.yaml")) -> Params:
    document = _read_document(path)
    _first_read.setdefault(path.absolute(), document)
    return parse_params(document, str(path))


def _read_document(path: Path) -> Any:
    return parse_yaml(read_params(path), str(path))


def parse_yaml(text: str, name: str) -> Any:
    """As every reader of params.yaml takes it: YAML 1.1. `name` is the file to mend."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # the latter: a date that is none
        raise ParamsError(f"{name} is not valid YAML ({' '.join(str(error).split())}); correct it there and run again") from error


def begin_stage() -> None:
    """What the stage that DVC runs here depends on, as it is now, for `check_unchanged`."""
    _deps_at_start.update({path: _state(Path(path)) for path in _declared(os.environ["DVC_STAGE"], "deps")})


def check_unchanged(path: Path = Path("params.yaml")) -> None:
    """ParamsError where DVC, which reads them once a stage has ended, would record other values, code or data than the stage it runs here went by."""
    stage = os.environ.get("DVC_STAGE")
    if stage is None or path.absolute() not in _first_read:
        return
    before, now = _first_read[path.absolute()], _read_document(path)
    keys = [key for key in _declared(stage, "params") if _value_of(key, before) != _value_of(key, now)]
    changed = [f"{', '.join(keys)} in {path}"] * bool(keys) + [dep for dep, state in _deps_at_start.items() if _state(Path(dep)) != state]
    if changed:
        raise ParamsError(
            f"{', '.join(changed)} changed while {stage} ran, so what it made was not recorded; run `genga repro` again for what is there now, "
            "or put back what was there first: a training then ends with what it has"
        )


def _declared(stage: str, what: str) -> list[str]:
    """The `deps` or `params` that dvc.yaml names, such as train_face.dcgan32 for train_face@dcgan32."""
    name, _, item = stage.partition("@")
    block = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
    values = _read_document(Path("params.yaml"))

    def told(reference: re.Match[str]) -> str:
        key = reference[1]
        if key in ("item", "key"):
            return item
        return str(_value_of(re.sub(r"^item\.", f"{name}.{item}.", key), values))

    return [re.sub(r"\$\{([\w.]+)\}", told, each) for each in block.get("do", block).get(what, [])]


def _state(path: Path) -> Any:
    """What tells a changed file or folder: content where it is short, else size and time. What DVC does not see does not count."""
    if path.is_dir():
        unseen = PathSpec.from_lines("gitignore", Path(".dvcignore").read_text(encoding="utf-8").splitlines())
        return {file: _stamp(file.stat()) for file in path.rglob("*") if file.is_file() and not unseen.match_file(file)}
    if not path.exists():
        return None
    stamp = _stamp(path.stat())
    return path.read_bytes() if stamp[0] <= SHORT else stamp


def _stamp(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _value_of(key: str, document: Any) -> Any:
    for name in key.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
