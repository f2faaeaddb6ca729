"""The recipe of a face family: by its model's arch."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genga.params import BEGANParams, DCGANParams, TrainFace
from models.networks import began, build, dcgan, stylegan2
from models.recipes.began import BeganRecipe
from models.recipes.gan import GanRecipe


class Tagged(NamedTuple):
    """What tags the training pictures have: `found` (N, C), numbers in [0, 1]."""

    names: list[str]
    found: Tensor


def model_of(params: TrainFace, tagged: Tagged | None) -> dict[str, Any]:
    """The generator as `build` takes it, without what is the discriminator's alone."""
    return params.model.model_dump(exclude={"d_batch_norm"}) | ({"tags": tagged.names} if tagged else {})


def face_recipe(params: TrainFace, tagged: Tagged | None = None) -> GanRecipe:
    torch.manual_seed(params.training.seed)
    model = params.model
    G: Any = build(model_of(params, tagged))
    if isinstance(model, BEGANParams):
        return BeganRecipe(G, began.Discriminator(model.resolution, model.z_dim, model.width), params)
    if isinstance(model, DCGANParams):
        D: Any = dcgan.Discriminator(model.resolution, model.width, model.kernel, model.dropout, model.d_batch_norm)
    else:
        D = stylegan2.Discriminator(
            model.resolution,
            model.channel_base,
            model.channel_max,
            len(tagged.names) if tagged else 0,
            residual=params.style is not None and params.style.residual,
        )
    if tagged:
        G.mapping.keep(tagged.found)
    return GanRecipe(G, D, params, warm_up=params.warm_up, growth=params.growth, style=params.style)
