import pytest

from pipeline import text


@pytest.mark.parametrize(
    ("report", "cleaned"),
    [
        ("1. Heart size normal. 2. No effusion.", "heart size normal . no effusion ."),
        ("Lungs are clear..", "lungs are clear ."),
        ('X-ray, (AP) 3.5 cm "mass".', "x-ray ap 35 cm mass ."),
        ("", " ."),
    ],
)
def test_the_scoring_protocol_cleans_as_published(report: str, cleaned: str) -> None:
    assert text.clean_r2gen(report) == cleaned


@pytest.mark.parametrize(
    ("section", "sentences"),
    [
        ("1. Normal chest x-XXXX.", ["normal chest x-ray"]),
        ("The XXXX are normal. Lungs are clear.", ["lungs are clear"]),
        ("Calcified lymph XXXX are present.", ["calcified lymph nodes are present"]),
        ("Stable mild cardiomegaly is again noted.", ["mild cardiomegaly is noted"]),
        ("Effusion has improved since the prior study.", []),
        ("Heart is normal.The lungs are clear.", ["heart is normal", "the lungs are clear"]),
        ("Clear, expanded lungs,", ["clear , expanded lungs"]),
        ("Cardiomegaly.", ["cardiomegaly"]),
        ("Chest.", []),
    ],
)
def test_a_target_needs_no_other_study_and_has_no_gaps(section: str, sentences: list[str]) -> None:
    assert text.clean_target(section) == sentences


def test_sections_come_back_as_sentences() -> None:
    tokens = text.report_tokens(["heart size is normal", "copd , mild"], ["no acute disease"])
    findings, impression = text.split_sections(tokens)
    assert text.detokenize(findings) == "Heart size is normal. COPD, mild."
    assert text.detokenize(impression) == "No acute disease."


def test_a_cut_off_sentence_is_dropped_unless_it_is_the_only_one() -> None:
    assert text.detokenize(["lungs", "are", "clear", ".", "there", "is"]) == "Lungs are clear."
    assert text.detokenize(["there", "is"]) == "There is."
    assert text.detokenize([]) == ""


def test_rare_words_are_unknown_to_the_tokenizer() -> None:
    tokenizer = text.build_tokenizer([["heart", "heart", "spur"]], 2)
    assert text.encode(tokenizer, ["heart", "spur"]) == [6, tokenizer.token_to_id(text.UNK)]
    assert tokenizer.encode("<findings> heart <eos>").ids == [4, 6, 2]
