"""Numbers as a person reads them: points, intervals, p values, plurals."""

from __future__ import annotations

import math

_METRICS = {"ndcg": "nDCG", "mrr": "MRR", "recall": "Recall", "map": "mAP"}
MINUS = "\N{MINUS SIGN}"


def points(value: float, *, beside: float | None = None, signed: bool = False) -> str:
    """A score as points of 100: "8.8 points", "1 point". With `beside`, digits enough to tell it from that limit."""
    digits = 1
    if beside is not None and value != beside:
        while digits < 6 and round(100 * value, digits) == round(100 * beside, digits):
            digits += 1
    number = number_text(100 * value, digits, signed=signed)
    number = number.removesuffix(".0")
    return f"{number} {'point' if number.lstrip('+' + MINUS) == '1' else 'points'}"


def interval(low: float, high: float) -> str:
    """Two bounds as points: "+6.4 to +11.2"; "not known" where a bound is infinite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not known"
    return f"{number_text(100 * low, 1, signed=True)} to {number_text(100 * high, 1, signed=True)}"


def number_text(value: float, digits: int, *, signed: bool = False) -> str:
    """A number with a true minus sign; "0.0" never carries a sign."""
    if not math.isfinite(value):
        return "not known"
    text = f"{abs(value):,.{digits}f}"
    if not float(text.replace(",", "")):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def p_value(p: float, *, beside: float = 1.0) -> str:
    """With its relation: "= 0.034", "< 0.001"; digits enough to tell it from a limit of less than that."""
    if p < 0.001:
        return f"= {p:.1g}" if p >= beside else f"< {min(0.001, beside):.1g}"
    return f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def percent(share: float) -> str:
    """A confidence: "95%", "97.5%", "99.688%"."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def plural(count: int, singular: str, several: str = "") -> str:
    """A count and its noun: "1 cluster", "1,200 clusters"."""
    return f"{count:,} {singular if count == 1 else several or singular + 's'}"


def metric_name(name: str) -> str:
    """How a metric is written in prose: "nDCG@10"."""
    kind, _, depth = name.partition("@")
    return f"{_METRICS.get(kind, kind)}@{depth}" if depth else _METRICS.get(name, name)
