"""The report's two drawings as inline SVG whose colours and type come from the page, so that they follow its theme."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from honed.errors import missing_extra
from honed.evaluate.comparison import Comparison
from honed.evaluate.significance import Paired
from honed.evaluate.wording import MINUS, interval, metric_name, number_text

# matplotlib knows no CSS variables: it draws with these stand-ins, and the finished SVG gets the variables.
_INK, _SOFT, _LINE, _GAIN, _LOSS, _PAPER = (f"#01020{number}" for number in range(6))
_VARIABLES = {_INK: "--ink", _SOFT: "--soft", _LINE: "--line", _GAIN: "--gain", _LOSS: "--loss", _PAPER: "--paper"}
_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
_WIDTH = 7.6  # inches of 72 units; the page scales it to its column, which makes 9 units 13 pixels
_LABEL = 36  # characters of a row's name that fit into the left margin
_STEPS = 600  # points of the gains curve: more would only add bytes
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, and set in the page's own type
    "text.parse_math": False,  # a "$" in a name is a "$"
    "axes.unicode_minus": True,
    "font.size": 9,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "text.color": _INK,
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the forest: a heading when `paired` is None."""

    label: str
    paired: Paired | None = None
    count: str = ""
    main: bool = False


def forest(comparison: Comparison, *, min_gain: float) -> Markup:
    """Differences with their intervals, metrics first, then slices. Needs matplotlib.

    A filled mark says that the interval excludes 0, a hollow one that it does not; the dotted line is `min_gain`.
    """
    name = metric_name(comparison.metric)
    rows = [_Row("All queries"), _Row(name, comparison.primary, main=True)]
    rows += [_Row(metric_name(metric), result) for metric, result in comparison.others.items()]
    if comparison.slices:
        rows.append(_Row(f"Slices, {name}"))
        rows += [_Row(part.name, part.paired, f"{part.paired.queries:,}") for part in comparison.slices]
    with _drawing(0.24 * len(rows) + 0.55) as (figure, axes):
        figure.subplots_adjust(left=0.40, right=0.76, top=1 - 0.05 / figure.get_figheight())
        figure.subplots_adjust(bottom=0.46 / figure.get_figheight())
        axes.axvline(0, color=_SOFT, linewidth=0.9)
        axes.axvline(100 * min_gain, color=_SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
        for place, row in enumerate(rows):
            _row(axes, place, row)
        axes.set_ylim(len(rows) - 0.5, -0.6)
        axes.set_yticks([])
        axes.tick_params(axis="x", length=3)
        axes.xaxis.set_major_formatter(_signed_tick)
        axes.set_xlabel("difference in points, with 95% interval")
        return _svg(figure, "Forest plot of the differences with their intervals", salt="forest")


def gains(deltas: Sequence[float] | NDArray[np.float64], metric: str) -> Markup:
    """One bar a query, from the largest gain to the largest loss: up is better, down is worse. Needs matplotlib."""
    values = np.sort(np.asarray(deltas, dtype=float))[::-1]
    values = 100 * values[~np.isnan(values)]
    where = np.arange(len(values), dtype=float)
    if len(values) > _STEPS:
        where = np.linspace(0, len(values) - 1, _STEPS)
        values = values[where.round().astype(int)]
    with _drawing(2.1) as (figure, axes):
        figure.subplots_adjust(left=0.075, right=0.995, top=0.97, bottom=0.2)
        width = where[1] - where[0] if len(where) > 1 else 1.0
        for part, colour in ((np.maximum(values, 0), _GAIN), (np.minimum(values, 0), _LOSS)):
            edges = np.append(where - width / 2, where[-1:] + width / 2)
            axes.stairs(part, edges, fill=True, color=colour, linewidth=0)
        axes.axhline(0, color=_SOFT, linewidth=0.9)
        axes.set_xlim(-width / 2, where[-1] + width / 2)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="both", length=0)
        axes.grid(axis="y", color=_LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_formatter(_signed_tick)
        axes.set_xlabel(f"queries, by change of {metric_name(metric)} in points")
        return _svg(figure, "Change of every query, from the largest gain to the largest loss", salt="gains")


def _row(axes: Any, place: int, row: _Row) -> None:
    label = row.label if len(row.label) <= _LABEL else row.label[: _LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"
    beside = axes.get_yaxis_transform()
    if row.paired is None:
        axes.text(-1.1, place + 0.1, label, transform=beside, va="center", color=_SOFT)
        return
    axes.text(-1.06, place, label, transform=beside, va="center")
    if row.count:
        axes.text(-0.04, place, row.count, transform=beside, ha="right", va="center", color=_SOFT)
    low, high = row.paired.ci95
    delta = 100 * row.paired.delta
    colour = _GAIN if low > 0 else _LOSS if high < 0 else _SOFT
    if np.isfinite([low, high]).all():
        axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2.2 if row.main else 1.3)
    sure = low > 0 or high < 0
    size = 8.0 if row.main else 5.5
    axes.plot(delta, place, "D" if row.main else "o", color=colour, markersize=size, markeredgewidth=1.2)
    if not sure:
        # A hole in the colour of the page: an unfilled marker would let the line show through.
        axes.plot(delta, place, "D" if row.main else "o", color=_PAPER, markersize=size - 2.4, markeredgewidth=0)
    axes.text(1.17, place, number_text(delta, 1, signed=True), transform=beside, ha="right", va="center")
    axes.text(1.66, place, interval(low, high), transform=beside, ha="right", va="center", color=_SOFT)


def _signed_tick(value: float, _position: int | None = None) -> str:
    return (MINUS if value < 0 else "+" if value > 0 else "") + f"{abs(value):g}"


@contextmanager
def _drawing(height: float) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes in the report's style."""
    with _matplotlib("").rc_context(_STYLE):
        figure = _matplotlib(".figure").Figure(figsize=(_WIDTH, height))
        yield figure, figure.add_subplot()


def _svg(figure: Any, description: str, *, salt: str) -> Markup:
    """The drawing as an <svg> element: no header, fixed size, comments or fonts; ids that no other drawing has."""
    target = io.StringIO()
    with _matplotlib("").rc_context({"svg.hashsalt": salt}):
        figure.savefig(target, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format")))
    text = target.getvalue()
    text = text[text.index("<svg") :]
    # matplotlib's own style sheet would leak into the page, and its names of groups are the same in every drawing.
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: (?:\d+ )?([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var({variable})")
    size = re.search(r'viewBox="[^"]*"', text)
    opening = f'<svg {size[0] if size else ""} role="img" aria-label="{escape(description)}" ' + _NAMESPACES
    return Markup(opening + re.sub(r"\s*\n\s*", "\n", text[text.index(">") + 1 :]))


def _matplotlib(part: str) -> Any:
    try:
        return import_module(f"matplotlib{part}")
    except ImportError as error:
        raise missing_extra("matplotlib", "tune") from error
