"""The networks that a card can name. A new one is a file here and a line in the table."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from genga.params import Section

# arch -> where its class stands; imported when it is built, so that a stage depends on the networks that it uses and on no other
NETWORKS = {
    "began": ("models.networks.began", "Generator"),
    "dcgan": ("models.networks.dcgan", "Generator"),
    "fastgan": ("models.networks.fastgan", "Generator"),
    "pose": ("models.networks.pose", "PoseNet"),
    "sketcher": ("models.networks.sketcher", "Sketcher"),
    "srgan": ("models.networks.srgan", "Generator"),
    "stick_unet": ("models.networks.stick_unet", "StickUNet"),
    "stylegan2": ("models.networks.stylegan2", "Generator"),
    "tagger": ("models.networks.tagger", "Tagger"),
    "transfer": ("models.networks.transfer", "Generator"),
    "upscaler": ("models.networks.upscaler", "Upscaler"),
}


def build(model: Section | Mapping[str, Any]) -> nn.Module:
    """`model`: a params section or a card's "model": the arch, and what that class takes as keywords; a model within it is built first."""
    arguments = dict(model.model_dump() if isinstance(model, Section) else model)
    built = {name: build(value) if isinstance(value, Mapping) else value for name, value in arguments.items() if name != "arch"}
    module, name = NETWORKS[arguments["arch"]]
    network: nn.Module = getattr(import_module(module), name)(**built)
    return network
