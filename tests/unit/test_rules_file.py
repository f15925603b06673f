"""A site's rules as a file: what is read, and that all mistakes are told at once, each with its line."""

import hashlib
import re
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.rules import Act, Condition, Rule
from pipeline.rules_file import load_rules, parse_rules


def mistakes(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_rules(text.encode(), "site.yaml")
    return str(caught.value).removeprefix("the rules 'site.yaml' are wrong: ").split("; line ")


def test_a_file_is_read_in_order_with_its_digest(tmp_path: Path) -> None:
    text = """
rules:
  - name: take it            # a comment
    when:
      Modality: {equals: CR}
      PatientAge: {at_least: 16, below: 90.5}
    do: take
  - {name: rest, do: keep, models: [champion, other]}
"""
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    rules = load_rules(path)
    assert rules.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert rules.rules == (
        Rule(
            name="take it",
            act=Act.TAKE,
            conditions=(
                Condition(attribute="Modality", comparison="equals", texts=("cr",)),
                Condition(attribute="PatientAge", comparison="at_least", number=16),
                Condition(attribute="PatientAge", comparison="below", number=90.5),
            ),
        ),
        Rule(name="rest", act=Act.KEEP, models=("champion", "other")),
    )


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    told = mistakes(
        """rules:
  - name: a
    wen: {}
    do: skipp
  - name: b
    when:
      BodyPart: {equals: CHEST}
      Modality: CR
      StationName: {contain: x}
      SeriesDescription: {matches: "("}
      PatientAge: {below: young}
    do: keep
  - name: b
    do: skip
    do: skip
  - do: prefer
    models: [x]
"""
    )
    assert told == [
        "line 3: unknown key 'wen'; did you mean 'when'?",
        "4: `do` is one of skip, prefer, avoid, keep, take; did you mean 'skip'?",
        "5: `models` names the models that `do: keep` keeps an image for, and goes with it alone",
        "7: unknown key 'BodyPart'; did you mean 'BodyPartExamined'?",
        "8: Modality must be compared, as in `Modality: {equals: …}`",
        "9: unknown key 'contain'; did you mean 'contains'?",
        "10: '(' is no regular expression (missing ), unterminated subpattern)",
        "11: `below` of PatientAge must be one number of years",
        "13: a second rule named 'b': a reason must name one",
        "15: 'do' is there twice",
        "16: a rule needs a `name`, a line of text",
        "16: `models` names the models that `do: keep` keeps an image for, and goes with it alone",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1: the file must begin with `rules:`"),
        (b"rules: 3", "`rules` must be a list of rules"),
        (b"rules:\n  - [", "are no YAML in UTF-8 in line 2"),
        (b"\xff", "are no YAML in UTF-8"),
        (b"[" * 5000, "are no YAML in UTF-8"),
        (b"rules: []\nextra: 1", "unknown key 'extra'"),
    ],
)
def test_what_is_no_file_of_rules(content: bytes, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        parse_rules(content, "site.yaml")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"rules '/nowhere.yaml' cannot be read \(No such file or directory\)"):
        load_rules(Path("/nowhere.yaml"))
