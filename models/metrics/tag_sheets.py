"""What numbers about a tagger do not show: curves, confusion matrices, and its surest mistakes, which are as often the labels' as its own."""

from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from genga.tags import column_slices, flags, groups
from models.export import grid
from models.metrics.plots import pixels_of
from models.metrics.tags import Floats, confidence_of
from models.targets import UNKNOWN, Targets, names, value_names

Pictures = NDArray[np.uint8]

# lines in the colour that they are about; the rest by matplotlib's own cycle
PAINT = {
    "blonde": "#e3b93c", "brown": "#8a5a33", "black": "#222222", "blue": "#2f6fde", "pink": "#f072a8", "purple": "#8e4fc9", "aqua": "#27b5bd",
    "green": "#3f9e46", "gray": "#8c8c8c", "red": "#d8342c", "white": "#c9c4b8", "orange": "#f08a24", "yellow": "#d9c51c",
}  # fmt: skip
DPI = 100
CARD, LINE = 128, 15  # pixels: a picture of the contact sheet, and a line of text under it


class Mistake(NamedTuple):
    """`row`: of the arrays that it was found in."""

    row: int
    name: str
    label: str
    guess: str
    confidence: float


def surest_mistakes(found: Floats, decided: Targets, targets: Targets, count: int) -> list[Mistake]:
    """Where a label and the tagger's answer differ, the most confident first."""
    confidence = confidence_of(found, decided)
    rows, places = np.nonzero((targets != UNKNOWN) & (decided != targets))
    order = np.argsort(-confidence[rows, places], kind="stable")[:count]
    return [_mistake(int(rows[at]), int(places[at]), decided, targets, confidence) for at in order]


def _mistake(row: int, place: int, decided: Targets, targets: Targets, confidence: Floats) -> Mistake:
    name = names()[place]
    values = value_names(name)
    return Mistake(row, name, values[targets[row, place]], values[decided[row, place]], round(float(confidence[row, place]), 4))


def mistake_sheet(pictures: Pictures, mistakes: list[Mistake], columns: int = 10) -> Pictures:
    """RGB. `pictures`: uint8 (N, R, R, 3) that the mistakes' rows count."""
    if not mistakes:
        return _text(np.full((60, 360, 3), 255, np.uint8), "no label and answer differ", 14, 34, 0.5, (60, 60, 60))
    return grid(np.stack([_card(pictures[each.row], each) for each in mistakes]), columns=min(columns, len(mistakes)))


def _card(picture: Pictures, mistake: Mistake) -> Pictures:
    card = np.full((CARD + 3 * LINE + 8, CARD + 6, 3), 255, np.uint8)
    card[3 : 3 + CARD, 3 : 3 + CARD] = cv2.resize(picture, (CARD, CARD), interpolation=cv2.INTER_CUBIC)
    lines = [(mistake.name.replace("_", " "), (110, 110, 110)), (f"label {mistake.label}", (190, 40, 30))]
    lines.append((f"guess {mistake.guess} {mistake.confidence:.2f}", (20, 110, 50)))
    for at, (text, colour) in enumerate(lines):
        _text(card, text, 5, CARD + LINE * (at + 1) + 2, 0.4, colour)
    return card


def _text(picture: Pictures, text: str, x: int, y: int, size: float, colour: tuple[int, int, int]) -> Pictures:
    return np.asarray(cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA), np.uint8)


def curves_plot(found: Floats, targets: Targets) -> Pictures:
    """RGB: precision against recall of every tag that held-out labels speak of; a panel for each group and one for the flags."""
    panels = {group: [f"{group}={value}" for value in values] for group, values in groups().items()} | {"yes or no": flags()}
    down = -(-len(panels) // 3)
    figure = Figure((5.2 * 3, 4.6 * down), DPI, layout="constrained")
    for place, (title, tags) in enumerate(panels.items()):
        axes = figure.add_subplot(down, 3, place + 1)
        drawn = [_curve(axes, tag, found, targets) for tag in tags]
        axes.set(title=title.replace("_", " "), xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
        axes.grid(alpha=0.25)
        if any(drawn):
            axes.legend(fontsize=8, loc="lower left", ncols=2 if sum(drawn) > 6 else 1)
        else:
            axes.text(0.5, 0.5, "no labels", ha="center", va="center", color="gray")
    return pixels_of(figure)


def _curve(axes: Axes, tag: str, found: Floats, targets: Targets) -> bool:
    """Whether there was anything to draw."""
    name, _, value = tag.partition("=")
    column, number = targets[:, names().index(name)], value_names(name).index(value or "yes")
    known = column != UNKNOWN
    truth, shares = column[known] == number, found[known, column_slices()[name].start + (number if value else 0)]
    if not truth.any() or truth.all():
        return False
    precision, recall, _ = precision_recall_curve(truth, shares)
    score = average_precision_score(truth, shares)
    axes.plot(recall, precision, color=PAINT.get(value), lw=1.8, label=f"{value or name.replace('_', ' ')} {score:.2f} ({truth.sum()})")
    return True


def confusion_plot(decided: Targets, targets: Targets) -> Pictures:
    """RGB: of the held-out faces with one label (rows), which share got which answer (columns)."""
    asked = [name for at, name in enumerate(names()) if (targets[:, at] != UNKNOWN).any()]
    big = [name for name in asked if name in groups()]
    small = [name for name in asked if name in flags()]
    across = max(1, len(big))
    figure = Figure((5.4 * across, 5.2 + (2.6 if small else 0)), DPI, layout="constrained")
    rows = [row for row in (big, small) if row]
    heights = [5.2 if row is big else 2.6 for row in rows]
    shelves = figure.subfigures(max(1, len(rows)), 1, squeeze=False, height_ratios=heights or None)[:, 0]
    for shelf, row in zip(shelves, rows, strict=False):
        for place, name in enumerate(row):
            _confusion(shelf.add_subplot(1, len(row), place + 1), name, decided, targets)
    return pixels_of(figure)


def _confusion(axes: Axes, name: str, decided: Targets, targets: Targets) -> None:
    column, values = names().index(name), value_names(name)
    known = targets[:, column] != UNKNOWN
    counts = confusion_matrix(targets[known, column], decided[known, column], labels=range(len(values)))
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, at), count in np.ndenumerate(counts):
        if count:
            axes.text(at, row, str(count), ha="center", va="center", fontsize=7, color="white" if shares[row, at] > 0.5 else "#333333")
    axes.set_xticks(range(len(values)), values, rotation=90 if len(values) > 4 else 0, fontsize=8)
    axes.set_yticks(range(len(values)), values, fontsize=8)
    axes.set_title(f"{name.replace('_', ' ')}: {np.trace(counts) / max(1, counts.sum()):.3f} right", fontsize=10)
    if name in groups():
        axes.set(xlabel="answer", ylabel="label")
