"""A drawn anime face whose every tag is known.

Back to front: background, hair behind, neck and clothes, skin, features, the hair's shadow, locks beside the face, bangs,
brows showing through, glasses, ornament. Each layer is drawn large and shrunk (drawing/face_ink.py).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawing import face_dress, face_features, face_hair
from drawing.face_ink import CANVAS_SIDE, WHITE, Array, Layer, Place, arc, mix, over, paint, soften, stencil, tint
from drawing.face_look import Look, body_place, head_place, random_labels, random_look
from genga.tags import Labels

__all__ = ["draw_face", "random_labels"]


class _Easel:
    """Makes layers and masks of one size."""

    def __init__(self, look: Look, size: int) -> None:
        self.size, self.unit = size, look.scale * size
        self._side = size * max(2, -(-CANVAS_SIDE // size))
        self._canvas_unit = look.scale * self._side
        self.head, self.body = head_place(look, self._side), body_place(look, self._side)
        self._small_head = head_place(look, size)

    def drawn(self, place: Place, draw: Callable[..., None], *args: Any) -> Array:
        """The small layer that `draw(layer, *args)` makes."""
        layer = Layer(self._side, place, self._canvas_unit)
        draw(layer, *args)
        return layer.shrunk(self.size)

    def mask(self, shapes: list[Array], depth: float, blur: float = 0.0) -> Array:
        """Shapes on the head as a mask, its edge softened by `blur` face units."""
        mask = stencil(self.size, [self._small_head(shape, depth) for shape in shapes])
        return soften(mask, blur * self.unit) if blur else mask


def draw_face(labels: Labels, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """uint8 (size, size, 3) RGB. Each part has a random generator of its own: another tag from the same seed changes that tag's part only."""
    look_rng, back_rng, hair_rng, body_rng, eye_rng, face_rng, brow_rng, prop_rng, side_rng, front_rng, style_rng = rng.spawn(11)
    look = random_look(labels, look_rng)
    hair = face_hair.random_hair(look, style_rng)
    easel = _Easel(look, size)

    picture = face_dress.draw_background(size, back_rng)
    over(picture, easel.drawn(easel.head, face_hair.draw_back, hair, hair_rng))
    over(picture, _body(easel, look, body_rng))
    skin = _skin(easel, look)
    front = _front_hair(easel, look, hair, side_rng, front_rng)
    _cast_shadow(skin, front, look, easel.unit)
    over(picture, skin)
    over(picture, easel.drawn(easel.head, _features, look, eye_rng, face_rng))
    brows = easel.drawn(easel.head, face_features.draw_brows, look, brow_rng)
    over(picture, brows)
    over(picture, front)
    over(picture, brows, 0.4)
    _props(picture, easel, look, hair, prop_rng)
    _bloom(picture, easel.unit)
    return picture.clip(0, 255).round().astype(np.uint8)


def _body(easel: _Easel, look: Look, rng: np.random.Generator) -> Array:
    def draw(layer: Layer) -> None:
        face_dress.draw_neck(layer, look)
        face_dress.draw_clothes(layer, look, rng)

    return easel.drawn(easel.body, draw)


def _skin(easel: _Easel, look: Look) -> Array:
    """Skin with soft light: brightest around the nose, darker away from the light, rosy where the tags say so."""
    skin = easel.drawn(easel.head, face_features.draw_skin, look)
    glow = easel.mask([arc((0, 0.35), (0.55, 0.3), 0, 360)], 0.5, blur=0.2)
    paint(skin, look.skin.light, glow * skin[..., 3] * 0.7)
    far_side = face_features.face_outline(look)[0] * (0.5, 0.9) - (0.95 * look.light, 0.0)
    tint(skin, (246, 214, 206), easel.mask([far_side], 0.1, blur=0.16) * 0.7)
    if look.labels["blush"]:
        cheeks = [face_features.cheek(side) for side in (-1, 1)]
        paint(skin, mix((255, 112, 124), look.skin.base, 0.2), easel.mask(cheeks, face_features.EYE_DEPTH, blur=0.1) * skin[..., 3] * 0.6)
    return skin


def _features(layer: Layer, look: Look, eye_rng: np.random.Generator, face_rng: np.random.Generator) -> None:
    if look.labels["blush"]:
        face_features.draw_blush_lines(layer, look)
    face_features.draw_eyes(layer, look, eye_rng)
    face_features.draw_nose(layer, look, face_rng)
    face_features.draw_mouth(layer, look, face_rng)


def _front_hair(easel: _Easel, look: Look, hair: face_hair.Hair, side_rng: np.random.Generator, front_rng: np.random.Generator) -> Array:
    def draw(layer: Layer) -> None:
        face_hair.draw_sides(layer, hair, side_rng)
        face_hair.draw_front(layer, hair, look, front_rng)

    front = easel.drawn(easel.head, draw)
    height = (np.arange(easel.size, dtype=np.float32) / easel.size)[:, None]
    tint(front, (232, 220, 240), ((0.35 - height) * 2).clip(0, 1) + ((height - 0.75) * 2).clip(0, 1))
    return front


def _cast_shadow(skin: Array, front: Array, look: Look, unit: float) -> None:
    """The bangs' shadow: their shape, moved down and away from the light."""
    dy, dx = round(unit * 0.1), round(-look.light * unit * 0.04)
    shadow = np.roll(front[..., 3], (dy, dx), (0, 1))
    shadow[:dy] = 0
    tone = tuple(255 * s / b for s, b in zip(look.skin.shade, look.skin.base, strict=True))
    tint(skin, (tone[0], tone[1], tone[2]), soften(shadow, unit * 0.02))


def _props(picture: Array, easel: _Easel, look: Look, hair: face_hair.Hair, rng: np.random.Generator) -> None:
    glasses_rng, ornament_rng = rng.spawn(2)
    if look.labels["glasses"]:
        glasses = face_features.random_glasses(look, glasses_rng)
        paint(picture, WHITE, easel.mask(glasses.glare(), face_features.GLASSES_DEPTH) * 0.3)
        over(picture, easel.drawn(easel.head, face_features.draw_glasses, glasses))
    if look.labels["hair_ornament"]:
        over(picture, easel.drawn(easel.head, face_dress.draw_ornament, hair, ornament_rng))


def _bloom(picture: Array, unit: float) -> None:
    """Light spills a little, as through a soft lens."""
    glow = soften(picture, unit * 0.12)
    picture += 0.1 * (glow * (1 - picture / 255))
