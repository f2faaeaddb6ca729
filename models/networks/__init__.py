"""The networks that a card can name. A new one is a file here and a line in the table."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from genga.params import Section
from models.networks import dcgan, stylegan2, transfer
from models.networks.pose import PoseNet
from models.networks.sketcher import Sketcher
from models.networks.tagger import Tagger
from models.networks.upscaler import Upscaler

NETWORKS: dict[str, type[nn.Module]] = {
    "dcgan": dcgan.Generator,
    "pose": PoseNet,
    "sketcher": Sketcher,
    "stylegan2": stylegan2.Generator,
    "tagger": Tagger,
    "transfer": transfer.Generator,
    "upscaler": Upscaler,
}


def build(model: Section | Mapping[str, Any]) -> nn.Module:
    """`model`: a params section or a card's "model": the arch, and what that class takes as keywords; a model within it is built first."""
    arguments = dict(model.model_dump() if isinstance(model, Section) else model)
    built = {name: build(value) if isinstance(value, Mapping) else value for name, value in arguments.items() if name != "arch"}
    return NETWORKS[arguments["arch"]](**built)
