"""English word lists. Text in another language passes by them unharmed: its words all count, and none negates."""

from __future__ import annotations


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP = _listed("""
a about above after again all also although am among an and any are as at be because been before being below between
both but by can cannot could did do does doing down during each either etc few for from further had has have having he
her here hers him his how however i if in into is it its itself just may me might more most must my of off often on once
only onto or other our ours out over own per perhaps rather s same shall she should so some such t than that the their
theirs them then there thereby these they this those through thus to too under until up upon us very via was we were
what when where whereas whether which while who whom whose why will with within would you your yours yes
""")
"""Words that carry no content."""

LIGHT = _listed("""
according actually additionally called certain characterise characterized commonly consider considered consist contain
currently described different especially finally following form found general generally given help include included
including involve involving known lead main mainly make mean note number often part particular provide refer referred
related result several show specific specifically state stated suggest therefore type typically used usually various
""")
"""Words that connect rather than say something: a sentence may use them where its source does not."""

GENERIC = _listed("""
answer associated association best call case cause causes change common comparison condition definition describe
diagnose difference disease disorder do effect effective example exist explain factor find get give happen help how
impact important improve influence information kind know latest level list long make many mean meaning method much name
need new occur outcome patient people possible predict prevent problem process purpose question rate reason relate
research result risk role show sign similar study symptom syndrome system tell test thing time treat treatment type use
used value way work year
""")
"""Words that ask rather than name: they fit a question about anything else in the same field."""

NEGATORS = _listed("""
absence absent cannot didnt doesnt dont fail failed fails isnt lack lacked lacking lacks neither never no none nor not
unable wasnt werent without wont
""")

OPPOSITES = tuple(
    (left, right)
    for left, _, right in (
        pair.partition("/")
        for pair in _listed("""
        above/below accept/reject acute/chronic allow/forbid always/never before/after benign/malignant best/worst
        better/worse common/rare early/late effective/ineffective enable/disable high/low higher/lower increase/decrease
        increase/reduce larger/smaller longer/shorter male/female men/women minimum/maximum more/less most/least
        positive/negative raise/lower safe/dangerous significant/insignificant superior/inferior true/false
        """)
    )
)
"""Pairs of which a passage holds one and a false claim the other."""

_BELOW_TWENTY = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
NUMERALS = {word: str(value) for value, word in enumerate(_BELOW_TWENTY.split(), start=2)} | {
    word: str(10 * value) for value, word in enumerate(_TENS.split(), start=2)
}
"""Spelled figures from two on; "one" is a pronoun more often."""

ABBREVIATIONS = _listed("""
al approx apr aug ave bros ca cf co corp dec dept dr eds est feb gen gov inc jan jr jul jun lt ltd mar messrs mr mrs ms
mt nov oct prof rep rev sen sep sept sr st univ viz vs
""")
"""Written with a full stop that does not end a sentence."""

COUNTED = _listed("art ch ed eq eqs exp fig figs no nos op p para pp ref refs sec sect subsec tab vol vols")
"""Abbreviations only before a figure: "No. 5" goes on, "No. Many ..." does not."""

OPENERS = _listed("""
a an and as at but by for from he how however i if in it its no of on or our she so that the their there these they this
those to we what when where which while who why with you your
""")
"""Words that begin a sentence far more often than they follow an initial ("vitamin C. The ...")."""
