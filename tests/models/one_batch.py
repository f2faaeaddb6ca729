"""One small batch of faces, and steps of a recipe on it."""

import torch

from models.loop import seed_step
from models.recipes.gan import GanRecipe


def flat_faces() -> torch.Tensor:
    """Eight flat pictures, each of its own colour."""
    torch.manual_seed(0)
    return torch.randint(0, 256, (8, 1, 1, 3), dtype=torch.uint8).expand(8, 16, 16, 3).contiguous()


def train(recipe: GanRecipe, faces: torch.Tensor, steps: int, start: int = 0) -> list[dict[str, float]]:
    heard = []
    for step in range(start, start + steps):
        seed_step(0, step * 8)
        heard.append(recipe.step(faces, step * 8))
    return heard
