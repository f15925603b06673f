"""A draft's sentences: split and joined again, and settled where two contradict each other."""

import pytest

from pipeline import text
from pipeline.checkpoint import special_tokens
from pipeline.sentences import Splitter, denied, joined, named
from pipeline.text import build_tokenizer, report_tokens

BODY = ("cardiomegaly", "heart size normal", "no effusion")
TOKENIZER = build_tokenizer([report_tokens(BODY, ("cardiomegaly",))], 1)
SPLITTER = Splitter(tokenizer=TOKENIZER, ids=special_tokens(TOKENIZER))


def tokens(findings: tuple[str, ...], impression: tuple[str, ...]) -> list[int]:
    return text.encode(TOKENIZER, report_tokens(findings, impression))[1:]  # drafts are without <bos>


def test_parts_are_sentences_and_marks_and_join_again() -> None:
    draft = tokens(BODY, ("cardiomegaly",))
    parts = SPLITTER.split(draft)
    assert len(parts) == 3 + 1 + 3  # marks, of which the last is <eos>
    assert joined(parts) == tuple(draft)
    assert joined(SPLITTER.split(draft[:-2])) == tuple(draft[:-2])  # a draft that was cut off
    assert "Cardiomegaly" in named(parts) & denied(parts)
    assert "Pleural Effusion" in denied(parts) - named(parts)


def test_a_section_without_sentences_is_not_whole() -> None:
    parts = SPLITTER.split(tokens(BODY, ("cardiomegaly",)))
    assert SPLITTER.is_whole(parts)
    assert SPLITTER.is_whole([*parts[:1], *parts[2:]])
    assert not SPLITTER.is_whole([*parts[:1], *parts[4:]])  # no findings
    assert not SPLITTER.is_whole([*parts[:5], *parts[6:]])  # no impression


@pytest.mark.parametrize(
    ("likely", "findings"),
    [
        (["Cardiomegaly"], "Cardiomegaly. No effusion."),
        ([], "Heart size normal. No effusion."),
    ],
)
def test_what_is_likely_stays_named_and_the_rest_denied(likely: list[str], findings: str) -> None:
    def settled(words: list[int]) -> list[int]:
        return list(joined(SPLITTER.settle(SPLITTER.split(words), ["Cardiomegaly"], likely)))

    short, longer = tokens(BODY, ("cardiomegaly",)), tokens(BODY, ("cardiomegaly", "no effusion"))
    if likely:
        told = text.split_sections(text.decode(TOKENIZER, settled(short)))
        assert [text.detokenize(section) for section in told] == [findings, "Cardiomegaly."]
    else:  # the impression would be empty, and all stays as it was
        assert settled(short) == short
    told = text.split_sections(text.decode(TOKENIZER, settled(longer)))
    assert text.detokenize(told[0]) == findings
    assert settled(settled(longer)) == settled(longer)


def test_what_is_not_in_dispute_stays_as_it_is() -> None:
    draft = tokens(BODY, ("cardiomegaly",))
    assert joined(SPLITTER.settle(SPLITTER.split(draft), [], [])) == tuple(draft)


@pytest.mark.parametrize(
    ("findings", "impression", "likely", "concluded"),
    [
        (BODY, ("no effusion",), ["Cardiomegaly"], "Cardiomegaly. No effusion."),
        (BODY, ("no effusion",), ["Pleural Effusion"], "No effusion."),  # what denies it is no finding of it
        (BODY, ("no effusion",), [], "No effusion."),
        (BODY, ("cardiomegaly",), ["Cardiomegaly"], "Cardiomegaly."),
        (BODY, ("heart size normal",), ["Cardiomegaly"], "Heart size normal."),  # the impression denies it
        (("cardiomegaly", "cardiomegaly"), ("no effusion",), ["Cardiomegaly"], "Cardiomegaly. No effusion."),
    ],
)
def test_an_impression_names_the_likely_that_the_findings_name(
    findings: tuple[str, ...], impression: tuple[str, ...], likely: list[str], concluded: str
) -> None:
    draft = tokens(findings, impression)
    told = joined(SPLITTER.conclude(SPLITTER.split(draft), likely))
    sections = text.split_sections(text.decode(TOKENIZER, told))
    assert text.detokenize(sections[1]) == concluded
    assert told[-1] == draft[-1]
    assert sections[0] == text.split_sections(text.decode(TOKENIZER, draft))[0]


def test_findings_that_were_cut_off_within_a_sentence_are_concluded_without_it() -> None:
    stop = SPLITTER.ids.stop
    draft = [token for token in tokens(("cardiomegaly",), ("no effusion",)) if token != stop]
    assert joined(SPLITTER.conclude(SPLITTER.split(draft), ["Cardiomegaly"])) == tuple(draft)
