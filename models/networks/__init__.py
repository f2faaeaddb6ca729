"""The networks that a card can name. A new one is a file here and a line in the table."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from genga.params import Section

NETWORKS: dict[str, type[nn.Module]] = {}


def build(model: Section | Mapping[str, Any]) -> nn.Module:
    """`model`: a params section or a card's "model": the arch, and what that class takes as keywords."""
    arguments = dict(model.model_dump() if isinstance(model, Section) else model)
    return NETWORKS[arguments.pop("arch")](**arguments)
