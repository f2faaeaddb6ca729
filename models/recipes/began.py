"""Training of BEGAN (Berthelot, Schumm and Metz 2017, https://arxiv.org/abs/1703.10717): the generator's pictures have to be rebuilt as well by the
discriminator's autoencoder, in the ratio gamma, as real ones. Small gamma: alike and clean; large: various and rough.

Differences from the paper:
- one draw of z a step serves both networks and k, where eq. 5 draws z_D and z_G apart: the generator draws once a step instead of twice;
- the rates stay as params have them, where section 4.1 halves Adam's whenever the measure of convergence stalls: when it has stalled is a rule that
  the paper does not give. The measure is logged, as m_global.
"""

from typing import Any

import torch
from torch import Tensor, nn

from genga.params import Began, TrainFace
from models.descent import descend
from models.loop import Scalars
from models.parallel import mean
from models.precision import autocast
from models.recipes.gan import GanRecipe, Level


class Balance(nn.Module):
    """k of eq. 5: how much the discriminator cares for what the generator makes."""

    def __init__(self, params: Began) -> None:
        super().__init__()
        self._params = params
        self.k: Tensor
        self.register_buffer("k", torch.zeros(()))

    @torch.no_grad()
    def move(self, real: Tensor, made: Tensor) -> float:
        """By the losses of both; gives the measure of convergence, section 3.3.1."""
        off = self._params.gamma * real - made
        self.k.add_(self._params.lambda_k * off).clamp_(0, 1)
        return float(real + off.abs())


class BeganRecipe(GanRecipe):
    def __init__(self, G: Any, D: Any, params: TrainFace) -> None:
        assert params.began is not None
        super().__init__(G, D, params)
        self._balance = Balance(params.began).to(next(self.G.parameters()).device)

    def _contest(self, real: Tensor, tags: Tensor | None, level: Level, cur_nimg: int) -> Scalars:
        del tags, cur_nimg
        self.D.requires_grad_(True)
        with autocast(self.params.training.precision):
            made = self._make(len(real), level)
            on_real, on_made = self._rebuilt_badly(real), self._rebuilt_badly(made.detach())
        descend(on_real - self._balance.k * on_made, self._d_optimizer)  # eq. 5
        self.D.requires_grad_(False)
        with autocast(self.params.training.precision):
            fooling = self._rebuilt_badly(made)
        descend(fooling, self._g_optimizer)
        m_global = self._balance.move(mean(on_real.detach()), mean(on_made.detach()))
        return {"d_real": on_real.item(), "d_made": on_made.item(), "g_loss": fooling.item(), "k": self._balance.k.item(), "m_global": m_global}

    def _rebuilt_badly(self, images: Tensor) -> Tensor:
        apart: Tensor = (images - self.D(images)).abs().mean()  # eq. 1 with eta = 1
        return apart

    def _parts(self) -> dict[str, Any]:
        return super()._parts() | {"balance": self._balance}
