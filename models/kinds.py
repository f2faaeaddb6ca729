"""What a network is for follows from its arch; whatever has an arch of its own beside these draws faces."""

from typing import Any, Literal

import torch
from torch import Tensor

from genga.skeleton import JOINTS

Kind = Literal["tagger", "pose", "upscaler", "sketcher", "face"]


def kind_of(card: dict[str, Any]) -> Kind:
    arch = card["model"]["arch"]
    if arch == "stick_unet":
        return "sketcher"
    if arch == "srgan":
        return "upscaler"
    return arch if arch in ("tagger", "pose", "upscaler", "sketcher") else "face"


@torch.inference_mode()
def try_once(module: Any, kind: Kind) -> Tensor:
    """What the network makes of a blank input, in float32 on the CPU: enough to see that it runs and gives numbers."""
    made: Tensor
    if kind == "face":
        made = module(torch.zeros(1, module.z_dim))
    elif kind == "sketcher":
        made = module(torch.full((1, len(JOINTS), 2), 0.5), torch.zeros(1, module.z_dim))
    elif kind == "pose":
        made, _ = module(torch.zeros(1, 1, module.resolution, module.resolution))
    else:
        side = 8 if kind == "upscaler" else module.resolution
        made = module(torch.zeros(1, 3, side, side))
    return made
