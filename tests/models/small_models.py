"""Generators small enough for tests, and their training without anything that params can leave out."""

from typing import Any

Values = dict[str, Any]

BEGAN: Values = {"arch": "began", "resolution": 32, "z_dim": 6, "width": 8}
DCGAN: Values = {"arch": "dcgan", "resolution": 32, "z_dim": 6, "width": 8, "kernel": 5, "bn_momentum": 0.5, "activation": "prelu", "dropout": 0.2}
TRAINED_DCGAN: Values = DCGAN | {"d_batch_norm": False}  # as params have it: with what only the discriminator needs
FASTGAN: Values = {"arch": "fastgan", "resolution": 64, "z_dim": 6, "channel_base": 512, "channel_max": 16}
SRGAN: Values = {"arch": "srgan", "width": 8, "blocks": 2}
STYLEGAN2: Values = {
    **{"arch": "stylegan2", "resolution": 32, "z_dim": 6, "w_dim": 8, "mapping_layers": 2, "channel_base": 256, "channel_max": 16},
    "noise": True,
}
PLAIN: Values = {
    **{"began": None, "warm_up": None, "growth": [], "style": None, "loss": "logistic", "r1_gamma": 0.0, "r2_gamma": 0.0, "r1_interval": 4},
    **{"faces": "prepared", "label_noise": 0.0, "augment": 0.0, "adapt": None},
}
