"""Pictures that show a face generator: a hundred faces, ways from one face to another, styles mixed, each tag asked for, several generators from
the same seeds.

G maps z (N, Z) to w (N, W) and w to pictures (N, 3, R, R); sheets are uint8 (H, W, 3). Nothing is truncated.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from genga.pictures import encode_png
from models.export import grid
from models.metrics.sampling import CONTACT_SHEET, Pictures, Sampling, at_once, draw_faces, draw_in_parts, latents

PATHS, STEPS = 6, 10  # of the strip of ways between faces
MIXED = 7  # faces along each side of the table of mixed styles
COARSE = 8  # styles of levels up to this side come from the row's face, all others from the column's
ASKED = 12  # faces of each tag that is asked for
SIDE_BY_SIDE, LABEL_WIDTH = 12, 130  # faces of each generator; pixels for its name


def show(G: Any, seed: int, out_dir: Path) -> list[Path]:
    """Writes faces.png, interpolation.png, where the generator mixes styles mixing.png, where it is told tags tags.png; gives their paths."""
    sheets = {"faces": contact_sheet, "interpolation": interpolation} | ({"mixing": mixing_table} if mixes_styles(G) else {})
    sheets |= {"tags": tag_table} if is_told_tags(G) else {}
    for name, sheet in sheets.items():
        (out_dir / f"{name}.png").write_bytes(encode_png(sheet(G, seed)))
    return [out_dir / f"{name}.png" for name in sheets]


def contact_sheet(G: Any, seed: int) -> Pictures:
    return grid(draw_faces(G, Sampling(CONTACT_SHEET, seed, at_once(G.resolution))))


@torch.inference_mode()
def interpolation(G: Any, seed: int) -> Pictures:
    """Each row walks from one face to another in w."""
    w = G.mapping(latents(G, 2 * PATHS, seed))
    ways = torch.linspace(0, 1, STEPS, device=w.device)[None, :, None]
    walked = torch.lerp(w[:PATHS, None], w[PATHS:, None], ways).flatten(0, 1)
    return grid(draw_in_parts(G.synthesis, G.resolution, walked), columns=STEPS)


def mixes_styles(G: Any) -> bool:
    return hasattr(G, "num_ws")


@torch.inference_mode()
def mixing_table(G: Any, seed: int) -> Pictures:
    """Left: faces whose coarse styles a row has; above: faces whose fine styles a column has (Karras et al. 2019, https://arxiv.org/abs/1812.04948,
    figure 3)."""
    coarse, fine = G.mapping(latents(G, 2 * MIXED, seed)).chunk(2)
    rows, columns = coarse.repeat_interleave(MIXED, dim=0), fine.repeat(MIXED, 1)
    first = torch.arange(G.num_ws, device=rows.device)[None, :, None] < G.num_ws_at(COARSE)
    mixed, above, left = (draw_in_parts(G.synthesis, G.resolution, w) for w in (torch.where(first, rows[:, None], columns[:, None]), fine, coarse))
    corner = np.full_like(above[:1], 255)
    below = [picture for row, face in enumerate(left) for picture in (face, *mixed[row * MIXED : (row + 1) * MIXED])]
    return grid(np.stack([*corner, *above, *below]), columns=MIXED + 1)


def is_told_tags(G: Any) -> bool:
    return bool(getattr(G, "tags", ()))


@torch.inference_mode()
def tag_table(G: Any, seed: int) -> Pictures:
    """A row for each tag, a column for each z: the same face, asked to show it."""
    z = latents(G, ASKED, seed)
    rows = []
    for column in G.tags:
        name, _, value = column.partition("=")
        asked = G.asked(z, {name: value or True})
        faces = grid(draw_in_parts(lambda z, tags: G(z, tags=tags), G.resolution, z, asked), columns=ASKED)
        said = f"{name.partition('_')[0]} {value}" if value else name
        rows.append(np.hstack([_label(said, G.resolution), faces]))
    return np.vstack(rows)


def side_by_side(generators: Mapping[str, Any], sampling: Sampling) -> Pictures:
    """A row for each generator, its name before it; a column for each seed. Faces are shown as large as the largest are."""
    side = max(G.resolution for G in generators.values())
    few = Sampling(SIDE_BY_SIDE, sampling.seed, sampling.batch_size)
    rows = []
    for name, G in generators.items():
        faces = [cv2.resize(face, (side, side), interpolation=cv2.INTER_NEAREST) for face in draw_faces(G, few)]
        rows.append(np.hstack([_label(name, side), *faces]))
    return np.vstack(rows).astype(np.uint8, copy=False)


def _label(name: str, height: int) -> NDArray[np.uint8]:
    label = np.full((height, LABEL_WIDTH, 3), 255, np.uint8)
    cv2.putText(label, name, (6, height // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return label
