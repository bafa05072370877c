"""The gate's simulation as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INK, SOFT, GOOD, BAD = "#22252b", "#8a8f99", "#2f7d5b", "#b4532a"


def write_results(result: dict[str, Any], here: Path) -> None:
    """RESULTS.md: tables from the figures, then what a person has to say (NOTES.md)."""
    lines = [
        "# The gate, simulated",
        "",
        f"`python benchmarks/gate/run.py`, {result['trials']:,} null candidates and {result['trials']:,} true gains of 3 points a "
        f"size, {result['seconds']} s in two processes of a busy machine. Scores: {_share(result['scores']['zeros'])} zeros, "
        f"{_share(result['scores']['ones'])} ones, spread of differences {result['scores']['spread of differences']:.2f}. "
        "Every verdict is that of `compare` and `decide` with eight slices, after the best of 30 candidates was chosen on a dev "
        "set of the same size. In brackets: standard error in points.",
        "",
        "| clusters | questions | null accepted | +3 points accepted | one of 30 has +3, accepted | called detectable | power there | "
        "80 % power at | detectable at look 10 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for clusters, row in result["sizes"].items():
        lines.append(
            f"| {clusters} | {row['questions']} | {_rate(row['null'])} | {_rate(row['gain'])} | {_rate(row['one good'])} | "
            f"{100 * row['detectable']:.1f} points | {_rate(row['power']['1.0'])} | {row['80 % at']:.2f} of it | "
            f"{100 * row['detectable at look 10']:.1f} points |"
        )
    names = list(next(iter(result["rounds"].values())))
    lines += [
        "",
        f"Of {result['lives']:,} lives of ten rounds those in which anything worthless was accepted, by the rule that counts looks:",
        "",
        f"| test set | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(f"| {test} | {' | '.join(_rate(row[name]) for name in names)} |" for test, row in result["rounds"].items()),
        "",
        f"`--fresh`, worthless candidates on 100 new questions, half of them in clusters that were looked at: "
        f"{_rate(result['fresh'])} accepted a test.",
        "",
        "Slices, 150 clusters, twelve slices: of candidates whose every slice gains 4 points "
        f"{_rate(result['slices']['twelve that gain alike'])} are refused for a slice "
        f"({_rate(result['slices']['the same, no correction'])} without Holm's correction); where an eighth of the questions "
        f"loses {-100 * result['slices']['lost']:.0f} points while the others gain, {_rate(result['slices']['an eighth loses'])} are "
        "refused for it.",
        "",
    ]
    notes = here / "NOTES.md"
    (here / "RESULTS.md").write_text("\n".join(lines) + ("\n" + notes.read_text() if notes.is_file() else ""))


def picture(result: dict[str, Any], path: Path) -> None:
    """Left: what is accepted, by number of clusters. Right: ten rounds, by rule."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "gate", "font.size": 9, "axes.spines.top": False}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4), layout="constrained")
    sizes = [int(clusters) for clusters in result["sizes"]]
    rows = list(result["sizes"].values())
    for rates, name, colour in (
        ([row["power"]["1.0"]["rate"] for row in rows], "a gain of the size that is called detectable", GOOD),
        ([row["gain"]["rate"] for row in rows], "a gain of 3 points", INK),
        ([row["null"]["rate"] for row in rows], "no gain", BAD),
    ):
        left.plot(sizes, [100 * rate for rate in rates], "o-", color=colour, label=name)
    left.axhline(80, color=SOFT, lw=0.8, ls=":")
    left.axhline(5, color=SOFT, lw=0.8, ls=":")
    left.set(
        xscale="log", xticks=sizes, xticklabels=sizes, xlabel="clusters in test", ylabel="accepted, %", ylim=(0, 100)
    )
    left.minorticks_off()
    left.legend(frameon=False, loc="center left", bbox_to_anchor=(0.0, 0.45))
    growing = {name: row for name, row in result["rounds"].items() if "no new" not in name}
    names = list(next(iter(growing.values())))
    width = 0.8 / len(names)
    for place, (name, colour) in enumerate(zip(names, (BAD, SOFT, INK, GOOD), strict=True)):
        heights = [100 * row[name]["rate"] for row in growing.values()]
        at = [number + place * width for number in range(len(heights))]
        right.bar(at, heights, width * 0.9, color=colour, label=name)
    right.axhline(5, color=SOFT, lw=0.8, ls=":")
    right.set(ylabel="lives with a false accept, %", xlabel="ten rounds, 20 new labels each")
    right.set_xticks([number + 1.5 * width for number in range(len(growing))])
    right.set_xticklabels([name.split(",")[0] + " at first" for name in growing])
    right.set_ylim(0, 1.7 * right.get_ylim()[1])
    right.legend(frameon=False, fontsize=8, title="looks are counted by")
    figure.savefig(path, metadata={"Date": None})


def _rate(value: dict[str, Any]) -> str:
    return f"{100 * value['rate']:.1f} % ({100 * value['error']:.1f})"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
