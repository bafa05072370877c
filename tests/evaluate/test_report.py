from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from honed.evaluate.comparison import General, Measured, Questions, Trial, compare
from honed.evaluate.gate import decide
from honed.evaluate.report import (
    Case,
    Cost,
    Hit,
    ReportData,
    StageRow,
    headline,
    render,
    report_text,
    warnings_of,
    write_report,
)
from honed.evaluate.slices import Slice

ATTACK = "<script>alert(1)</script><svg onload=alert(2)>\"'--></style></svg>{{ 7*7 }}$x^2$"
VOID = {"meta", "br", "link", "img", "hr", "path", "use", "g"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that what opens closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def report(
    gain: float = 0.06, *, name: str = "query tower", trial: Trial | None = None, count: int = 200, spread: float = 0.1
) -> ReportData:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.7, count)
    noise = rng.normal(0, spread, count)
    after = base + gain + noise - noise.mean()
    comparison = compare(
        Measured("hybrid", {"ndcg@10": base, "mrr@10": base}),
        Measured(name, {"ndcg@10": after, "mrr@10": after}),
        Questions(
            [f"q{n}" for n in range(count)],
            [n // 2 for n in range(count)],
            (Slice(name, np.arange(count) < count // 2),),
        ),
        trial=trial or Trial(candidates_tried=5, general=General(0.76, 0.75)),
    )
    verdict = decide(comparison)
    hits = (Hit(name, name + " text", True), Hit("Other", "word " * 200, False))
    return ReportData(
        title=name,
        comparison=comparison,
        verdict=verdict,
        test_set=name,
        digests={name: "sha256 " + name},
        stages=(StageRow(name, name, 0.61, 75.0, True), StageRow("both towers", "", None, 1.5)),
        cases=tuple(
            Case(f"{name} {n}", float(b), float(a), hits, hits[::-1])
            for n, (b, a) in enumerate(zip(base, after, strict=True))
        ),
        costs=(Cost(name, "1 ms", "2 ms"),),
        data_card={name: name},
        environment={"Honed": name},
        commands=("honed tune --budget 10m", name),
        warnings=(name,),
        release="r2" if verdict.proven else "",
        path="runs/1/report.html",
    )


def test_one_small_file_that_needs_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the drawings need the extra: pip install 'honed[tune]'")
    write_report(report(), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not page.open
    assert len(html) < 300_000
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags
    links = [value for key, value in page.attributes if key in ("href", "src", "xlink:href", "action")]
    assert all(link and link.startswith("#") for link in links)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    assert "url(http" not in html and "@import" not in html
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 2


def test_it_says_everything_once_asked() -> None:
    text = Page(render(report())).text
    for words in (
        "Better: query tower gains 6 points over hybrid.",
        "Release r2 is live.",
        "Is the difference real? Yes.",
        "100 independent clusters",
        "nDCG@10",
        "Slices",
        "Largest gains",
        "Largest losses",
        "relevant",
        "1 min 15 s",
        "not measured",
        "honed tune --budget 10m",
        "Read this first",
    ):
        assert words in text, words


def test_everything_from_data_is_escaped() -> None:
    pytest.importorskip("matplotlib", reason="the drawings need the extra: pip install 'honed[tune]'")
    html = render(report(name=ATTACK))
    page = Page(html)
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    assert "alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text and "$x^2$" in page.text
    assert html.count("</style>") == 1


def test_drawings_take_their_colours_and_type_from_the_page() -> None:
    pytest.importorskip("matplotlib", reason="the drawings need the extra: pip install 'honed[tune]'")
    html = render(report())
    drawings = html[html.index("<svg") :]
    assert "var(--gain)" in drawings and "var(--loss)" in drawings
    assert not re.search(r"#[0-9a-f]{6}\b", drawings.replace("#000000", ""))
    assert "font-family" not in drawings and "DejaVu" not in html


def test_the_same_data_gives_the_same_bytes() -> None:
    assert render(report()) == render(report())


def test_no_numbers_are_missing_when_there_is_little_data() -> None:
    data = report(count=3)
    bare = ReportData(title="t", comparison=data.comparison, verdict=data.verdict)
    text = Page(render(bare)).text
    assert "nan" not in text.lower().split() and "inf" not in text.lower().split()
    assert "Queries to look at" not in text and "Candidates tried" in Page(render(data)).text


def test_one_cluster_is_reported_without_an_interval() -> None:
    comparison = compare(
        Measured("a", {"ndcg@10": np.array([0.1, 0.2])}),
        Measured("b", {"ndcg@10": np.array([0.2, 0.3])}),
        Questions(["x", "y"], ["c", "c"]),
    )
    data = ReportData(title="t", comparison=comparison, verdict=decide(comparison))
    assert "not known" in Page(render(data)).text
    assert "NOT PROVEN" in report_text(data)


def test_five_thousand_queries_stay_small() -> None:
    assert len(render(report(count=5_000))) < 500_000


def test_without_matplotlib_a_sentence_stands_in_for_the_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(render(report()))
    assert "svg" not in page.tags
    assert "pip install 'honed[tune]'" in page.text


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.06, "Better: query tower gains 6 points over hybrid."),
        (-0.06, "Worse: query tower loses 6 points against hybrid."),
        (0.001, "No proven gain of query tower over hybrid."),
    ],
)
def test_the_headline_is_one_plain_sentence(gain: float, words: str) -> None:
    assert headline(report(gain)) == words


def test_a_sure_gain_that_is_too_small_has_its_own_headline() -> None:
    data = report(0.006, spread=0.01)
    assert headline(data) == "Better by 0.6 points, but not good enough to go live: query tower against hybrid."


def test_the_terminal_text_has_the_shape_of_the_session() -> None:
    lines = report_text(report()).splitlines()
    assert len(lines) <= 10
    assert re.fullmatch(r"baseline \(hybrid\) +nDCG@10 0\.\d{3} +test, 200 queries in 100 clusters", lines[0])
    expected = r"candidate \(query tower\) +nDCG@10 0\.\d{3} +\+0\.060, 95% CI \+0\.\d{3}\.\.\+0\.\d{3}, p < 0\.001"
    assert re.fullmatch(expected, lines[1])
    assert lines[2] == "VERDICT: PROVEN -> release r2 is live.  Report: runs/1/report.html"
    assert "VERDICT: NOT PROVEN -> nothing changes." in report_text(report(0.0))


def test_a_verdict_on_titles_is_called_proxy_in_every_form() -> None:
    data = report(trial=Trial(proxy=True))
    assert "VERDICT: PROXY PROVEN -> release r2 is live." in report_text(data)
    assert "test, 200 titles in 100 clusters" in report_text(data)
    assert headline(data).startswith("PROXY, on titles alone.")
    page = render(data)
    assert "PROXY, proven" in page
    assert ": PROXY proven</title>" in page


def test_warnings_follow_from_the_numbers() -> None:
    data = report(count=12, trial=Trial(test_reads=2))
    text = " ".join(warnings_of(data))
    assert "test set is small (12 queries)" in text
    assert "rests on 6 clusters only" in text
    assert "read 2 times" in text
    proxy = report(count=12, trial=Trial(proxy=True))
    assert "titles and headings stood in for them" in " ".join(warnings_of(proxy))
    assert "test set is small (12 titles)" in " ".join(warnings_of(proxy))
    assert warnings_of(ReportData(title="t", comparison=report().comparison, verdict=report().verdict)) == ()
