"""One small batch of pictures, and steps of a recipe on it."""

import torch

from models.loop import Resumable, seed_step


def flat_faces() -> torch.Tensor:
    """Eight flat pictures, each of its own colour."""
    torch.manual_seed(0)
    return torch.randint(0, 256, (8, 1, 1, 3), dtype=torch.uint8).expand(8, 16, 16, 3).contiguous()


def train(recipe: Resumable, pictures: torch.Tensor, steps: int, start: int = 0) -> list[dict[str, float]]:
    """Steps from the `start`-th on, each of all the pictures."""
    return train_between(recipe, pictures, start * len(pictures), (start + steps) * len(pictures))


def train_between(recipe: Resumable, pictures: torch.Tensor, start: int, stop: int) -> list[dict[str, float]]:
    """From `start` to `stop` pictures seen."""
    heard = []
    for cur_nimg in range(start, stop, len(pictures)):
        seed_step(0, cur_nimg)
        heard.append(recipe.step(pictures, cur_nimg))
    return heard
