"""What the API takes and gives, and its stated limits. Past these types no code checks again.

Every reply made by a model names it as "family/version", in `version` and in the header X-Genga-Version; X-Genga-Release
has the release's id, which differs also where version numbers begin again.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genga import params
from genga.params import SEEDS
from genga.pictures import MAX_SIDE, Limits

MAX_CHARACTERS = 64
MAX_SKETCHES = 8
NUM_NEAREST = 6
PICTURE_LIMITS = Limits(max_bytes=20_000_000, max_pixels=25_000_000, min_side=8)
UPSCALE_FACTOR = 4
# a full HD picture; about ten seconds per million pixels on two cores
UPSCALE_LIMITS = Limits(max_bytes=20_000_000, max_pixels=2_100_000, min_side=1, max_side=MAX_SIDE // UPSCALE_FACTOR)
MAX_JSON_BYTES = 100_000
# a multipart body is the file and a few lines around it
MULTIPART_ROOM = 100_000

Unit = Annotated[float, Field(ge=0, le=1)]
Point = Annotated[list[Unit], Field(min_length=2, max_length=2)]
Seed = Annotated[params.Seed, Field(description="the same seed, request and version give the same bytes")]


class Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CharacterRequest(Request):
    seed: Seed = 0
    psi: Unit = Field(default=0.7, description="truncation; 1 = none")
    tags: dict[str, Annotated[float, Field(ge=-1, le=1)]] = Field(default={}, description="slider name -> how far it is moved")
    shows: dict[str, str | bool] = Field(
        default={}, description="group -> value, or yes/no tag -> true or false: what the face is drawn to show, by a family whose `shows` lists it"
    )
    count: int = Field(default=1, ge=1, le=MAX_CHARACTERS, description="image i has the seed seed + i")
    family: str | None = Field(default=None, description="a face family of the release; without it the first one of /api/release")

    def seeds(self) -> list[int]:
        return [(self.seed + i) % SEEDS for i in range(self.count)]


class SketchRequest(Request):
    pose: Annotated[
        list[Point],
        Field(
            min_length=11,
            max_length=11,
            description="x, y of each joint, in the order of /api/release; in [0, 1] of a square, or of a picture whose width and height are given",
        ),
    ]
    width: int | None = Field(default=None, ge=1, description="of the picture that the joints were read off, as /api/pose says it; with `height`")
    height: int | None = Field(default=None, ge=1)
    confidence: Annotated[list[Unit], Field(min_length=11, max_length=11)] | None = Field(
        default=None, description="how sure each joint is, as /api/pose says it: unsure ones count less for the nearest figures; without it all count"
    )
    count: int = Field(default=1, ge=1, le=MAX_SKETCHES, description="sketch i has the seed seed + i")
    seed: Seed = Field(default=0, description=f"from a multiple of {MAX_SKETCHES} on, no two of that many sketches are of the same drawing")

    @model_validator(mode="after")
    def whole_size(self) -> "SketchRequest":
        if (self.width is None) != (self.height is None):
            raise ValueError("the picture's width or height is missing; give both, or neither for a pose in a square")
        return self

    def in_square(self) -> list[Point]:
        """The pose where it lies when its picture stands in the middle of a square."""
        if self.width is None or self.height is None:
            return self.pose
        width, height = (side / max(self.width, self.height) for side in (self.width, self.height))
        return [[x * width + (1 - width) / 2, y * height + (1 - height) / 2] for x, y in self.pose]

    def seeds(self) -> list[int]:
        return [(self.seed + i) % SEEDS for i in range(self.count)]


class Characters(BaseModel):
    images: list[str] = Field(description="PNG data URLs")
    seeds: list[int]
    version: str


class Tags(BaseModel):
    tags: dict[str, float] = Field(description="column (`hair_color=blue`, `glasses`) -> probability")
    groups: dict[str, str] = Field(description="one-of group -> its most probable value")
    flags: dict[str, bool] = Field(description="yes/no tag -> whether its probability reaches the tagger's threshold for it")
    unsure: list[str] = Field(description="groups and yes/no tags about which the tagger abstains: it is not as sure as `train_tagger.right` asks")
    version: str


class PoseReading(BaseModel):
    pose: list[list[float]] = Field(
        description="x, y of each joint in [0, 1] of the picture's width and height; a stick figure is taken to face us, its left limbs on the right"
    )
    kind: Literal["stick", "figure"]
    confidence: list[float] = Field(description="of each joint: how sure its place is, from 0 to 1")
    width: int = Field(description="of the picture in pixels, EXIF orientation applied")
    height: int
    version: str


class Reviewed(BaseModel):
    id: str = Field(description="sha256 of the decoded picture, by which the labels know it")


class Neighbour(BaseModel):
    id: str
    image: str = Field(description="PNG data URL")
    distance: float
    source: str
    licence: str


class Sketches(BaseModel):
    sketches: list[str] = Field(description="PNG data URLs")
    seeds: list[int]
    nearest: list[Neighbour] = Field(description="figures of the gallery, the nearest pose first")
    version: str
    gallery_version: str


class Slider(BaseModel):
    """`effect`: how much a full move changes the tagger's score of the tag itself; `drag`: of the others; `learned_from`: see FamilyInfo."""

    name: str
    group: str
    effect: float
    learned_from: str
    drag: dict[str, float]


class FamilyInfo(BaseModel):
    version: str
    metrics: dict[str, Any]
    licences: list[str]
    sources: list[str]
    notes: list[str]
    learned_from: dict[str, str] = Field(
        description="the tagger's: group or flag -> human, imported, drawn, or weak: drawn, and colours of these faces named by rule"
    )
    kimg: float | None
    resolution: int | None = Field(description="side in pixels of what it makes or reads; none where any size goes")
    sliders: list[Slider] | None = Field(description="of face families only")
    shows: list[str] = Field(description="`group=value` and yes/no tags that a face of it can be asked to show; none where it was told no tags")


class StatedLimits(BaseModel):
    upload_bytes: int = PICTURE_LIMITS.max_bytes
    picture_pixels: int = PICTURE_LIMITS.max_pixels
    picture_min_side: int = PICTURE_LIMITS.min_side
    picture_max_side: int = PICTURE_LIMITS.max_side
    upscale_pixels: int = UPSCALE_LIMITS.max_pixels
    upscale_max_side: int = UPSCALE_LIMITS.max_side
    upscale_factor: int = UPSCALE_FACTOR
    seed_max: int = SEEDS - 1
    psi: tuple[float, float] = (0, 1)
    tag: tuple[float, float] = (-1, 1)
    characters: int = MAX_CHARACTERS
    sketches: int = MAX_SKETCHES


class ReleaseInfo(BaseModel):
    release: str = Field(description="the id of exactly these versions")
    families: dict[str, FamilyInfo]
    faces: list[str] = Field(description="families that /api/characters takes, the default one first")
    groups: dict[str, list[str]]
    flags: list[str]
    ordered: list[str] = Field(description="groups with one slider of their own, from less to more")
    joints: list[str]
    sticks: list[tuple[int, int]]
    limits: StatedLimits


class Error(BaseModel):
    error: str = Field(description="one sentence: what was found, what was expected")
