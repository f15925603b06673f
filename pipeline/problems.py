"""A report's text -> problems in the coders' manner, for reports that nobody coded.

The names are those of the Indiana collection's coders; what only CheXpert knows ("Lung Opacity") is left out, as
it says the same thing twice. An uncertain mention counts, as it does for a coder who is asked what to look for.
These are a machine's reading of a text: whoever learns from them or is judged by them must be told.
"""

from typing import NamedTuple

from pipeline.finding_rules import RULES
from pipeline.findings import extract
from pipeline.study import Polarity

NORMAL = "normal"  # the coders' word for a report that names nothing
PROBLEMS = frozenset(rule.labels[0] for rule in RULES)  # a rule names the coders' term first


class Problems(NamedTuple):
    """What a report names."""

    problems: frozenset[str]  # {"normal"} where it names nothing
    mesh: frozenset[str]  # the same, with qualifiers where the text gives them: "Lung/hypoinflation"


def problems_in(findings: str, impression: str) -> Problems:
    """Return the problems that a report says are there, or may be."""
    statements = extract(f"{findings}\n{impression}")
    named = {item.label for item in statements if item.polarity is not Polarity.ABSENT} & PROBLEMS
    if not named:
        return Problems(frozenset({NORMAL}), frozenset({NORMAL}))
    return Problems(frozenset(label.split("/")[0] for label in named), frozenset(named))
