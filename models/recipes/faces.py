"""The recipe of a face family: by its model's arch."""

from typing import Any

import torch

from genga.params import BEGANParams, DCGANParams, TrainFace
from models.networks import began, build, dcgan, stylegan2
from models.recipes.began import BeganRecipe
from models.recipes.gan import GanRecipe


def face_recipe(params: TrainFace) -> GanRecipe:
    torch.manual_seed(params.training.seed)
    model = params.model
    G: Any = build(model)
    if isinstance(model, BEGANParams):
        return BeganRecipe(G, began.Discriminator(model.resolution, model.z_dim, model.width), params)
    if isinstance(model, DCGANParams):
        D: Any = dcgan.Discriminator(model.resolution, model.width, model.kernel, model.dropout)
    else:
        D = stylegan2.Discriminator(model.resolution, model.channel_base, model.channel_max)
    return GanRecipe(G, D, params, warm_up=params.warm_up, growth=params.growth, style=params.style)
