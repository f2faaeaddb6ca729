"""Plots as pictures, drawn without a display."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray


def pixels_of(figure: Figure) -> NDArray[np.uint8]:
    """RGB (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3], np.uint8)  # type: ignore[no-untyped-call]
