"""What a draft is told beyond doubt: what is likely enough, problem by problem, and no study for another."""

from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from pipeline import text
from pipeline.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, special_tokens
from pipeline.decoding import Decoded
from pipeline.guidance import Basis, Drafter, _Choice
from pipeline.manifest import DecodingSettings, Guidance
from pipeline.text import build_tokenizer, report_tokens

CONCEPTS = ("abnormal", "Cardiomegaly", "Pleural Effusion", "No Indexing")
NORMAL = ("the lungs are clear",)
TOKENIZER = build_tokenizer(
    [report_tokens(("cardiomegaly", "left pleural effusion", *NORMAL), ("no disease",))], 1
)
IDS = special_tokens(TOKENIZER)
GUIDANCE = Guidance(weight=100.0, even=0.2, tried=3, rounds=3)
HOW = DecodingSettings(
    beams=1,
    max_findings=12,
    max_impression=6,
    length_penalty=1.0,
    block_trigrams=True,
    evidence={},
    guidance=GUIDANCE,
)


@dataclass
class _Shape:
    use_image: bool = False
    grid: int = 1


@dataclass
class Timid:
    """Names a problem only when its evidence is beyond doubt; everything else it calls clear."""

    evidence: Tensor = field(default_factory=lambda: torch.tensor([[1.0], [0.0], [-2.0]]).expand(3, len(CONCEPTS)))
    config: _Shape = field(default_factory=_Shape)
    written: int = 0  # rows for which it began to write

    def expect(self, evidence: Tensor, memory: dict[str, Tensor]) -> Tensor:
        return evidence + self.evidence[2]

    def remember(self, maps: Tensor, mask: Tensor, evidence: Tensor, indication: Tensor) -> dict[str, Tensor]:
        scripts = [self._script(row.tolist()) for row in evidence]
        longest = 40
        return {"script": torch.tensor([[*script, *[0] * (longest - len(script))] for script in scripts])}

    def _script(self, evidence: list[float]) -> list[int]:
        said = [name.lower() for name, told in zip(CONCEPTS[1:3], evidence[1:3], strict=True) if told >= 3]
        words = report_tokens((*said, *NORMAL), ("no disease",))
        return text.encode(TOKENIZER, words)

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        self.written += len(memory["script"])
        return {"place": torch.zeros(len(memory["script"]), 1, dtype=torch.long)}

    def step(self, tokens: Tensor, state: dict[str, Tensor], memory: dict[str, Tensor]) -> tuple[Tensor, Any]:
        place = state["place"] + 1
        return self._scores(memory["script"].gather(1, place)).squeeze(1), {"place": place}

    def score(self, tokens: Tensor, memory: dict[str, Tensor]) -> Tensor:
        scores = self._scores(memory["script"][:, 1 : tokens.shape[1]]).log_softmax(-1)
        return scores.gather(2, tokens[:, 1:, None]).squeeze(2)

    def _scores(self, wanted: Tensor) -> Tensor:
        sure = torch.nn.functional.one_hot(wanted, TOKENIZER.get_vocab_size()).float()
        return (0.9 * sure + 0.001).log()


def draft(evidence: list[list[float]], model: Timid, how: DecodingSettings = HOW) -> list[Decoded]:
    studies = len(evidence)
    basis = Basis(
        maps=torch.zeros(studies, 2, 1, 1, 1),
        mask=torch.ones(studies, 2, dtype=torch.bool),
        evidence=torch.tensor(evidence),
        indication=torch.zeros(studies, 0, dtype=torch.long),
    )
    drafter = Drafter(model=cast(Any, model), tokenizer=TOKENIZER, ids=IDS, concepts=CONCEPTS, how=how)
    return drafter.draft(basis)


def told(drafts: list[Decoded]) -> list[str]:
    return [text.detokenize(text.split_sections(text.decode(TOKENIZER, each.tokens))[0]) for each in drafts]


LIKELY, UNLIKELY = 1.5, 0.0  # evidence; the prior is -2: chances of .38 and .12


@pytest.mark.parametrize(
    ("evidence", "findings"),
    [
        ([0.0, UNLIKELY, UNLIKELY, 0.0], "The lungs are clear."),
        ([0.0, LIKELY, UNLIKELY, 0.0], "Cardiomegaly. The lungs are clear."),
        ([0.0, LIKELY, LIKELY, 0.0], "Cardiomegaly. Pleural effusion. The lungs are clear."),
        ([LIKELY, UNLIKELY, UNLIKELY, LIKELY], "The lungs are clear."),  # no text can name these two
    ],
)
def test_what_is_likely_enough_is_named(evidence: list[float], findings: str) -> None:
    assert told(draft([evidence], Timid())) == [findings]


def test_without_guidance_only_the_evidence_speaks() -> None:
    model = Timid()
    assert told(draft([[0.0, LIKELY, LIKELY, 0.0]], model, replace(HOW, guidance=None))) == [
        "The lungs are clear."
    ]
    assert model.written == 1


def test_unlikely_words_are_only_worth_so_much() -> None:
    timid = replace(HOW, guidance=replace(GUIDANCE, weight=0.01))
    assert told(draft([[0.0, LIKELY, LIKELY, 0.0]], Timid(), timid)) == ["The lungs are clear."]


def test_a_draft_is_made_again_for_what_may_pay_alone() -> None:
    model = Timid()
    draft([[0.0, UNLIKELY, UNLIKELY, 0.0]] * 5, model)
    assert model.written == 5


def test_confidence_is_that_of_the_words_under_the_evidence_as_it_is() -> None:
    plain, named = (draft([[0.0, told, UNLIKELY, 0.0]], Timid())[0].confidence for told in (UNLIKELY, LIKELY))
    assert plain == pytest.approx(log(0.901 / (0.9 + 0.001 * TOKENIZER.get_vocab_size())), rel=1e-4)
    assert named < plain - 1


def test_no_study_speaks_for_its_neighbour() -> None:
    studies = [[0.0, LIKELY, UNLIKELY, 0.0], [0.0, UNLIKELY, UNLIKELY, 0.0], [0.0, UNLIKELY, LIKELY, 0.0]]
    together = draft(studies, Timid())
    assert together == [draft([study], Timid())[0] for study in studies]


def test_told_nothing_more_a_draft_is_what_it_was_and_as_likely(checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    drafter = Drafter(
        model=model,
        tokenizer=checkpoint.tokenizer,
        ids=checkpoint.ids,
        concepts=checkpoint.manifest.concepts,
        how=replace(checkpoint.manifest.decoding, beams=1),
    )
    with torch.inference_mode():
        maps = model.see(torch.randint(0, 255, (3, 2, 64, 64), dtype=torch.uint8), torch.ones(3, 2).bool())
        basis = Basis(
            maps=maps,
            mask=torch.ones(3, 2, dtype=torch.bool),
            evidence=torch.zeros(3, 2),
            indication=torch.tensor([[9, 8], [9, 0], [0, 0]]),
        )
        plain = drafter.draft(basis)
        means = drafter._confidences(basis, [2, 0, 1], [plain[i].tokens for i in (2, 0, 1)])  # noqa: SLF001
    assert means == pytest.approx([plain[i].confidence for i in (2, 0, 1)], abs=1e-4)


class Stubborn(Timid):
    """Names a problem only when it is told of nothing else."""

    def _script(self, evidence: list[float]) -> list[int]:
        told = [value for value in evidence if value > -1]
        return super()._script(evidence if len(told) == 1 else [0.0] * len(CONCEPTS))


class Decided(Stubborn):
    """Tells a side, too."""

    def _script(self, evidence: list[float]) -> list[int]:
        told = super()._script(evidence)
        return [word for token in told for word in (SIDED if token == SIDED[1] else (token,))]


SIDED = text.encode(TOKENIZER, ["left", "pleural"])


class Alarmist(Timid):
    """Sees a large heart in every study."""

    def _script(self, evidence: list[float]) -> list[int]:
        return super()._script([0.0, 4.0, *evidence[2:]])


EDITED = replace(HOW, guidance=replace(GUIDANCE, edits=True))


def test_a_sentence_is_put_first_that_names_what_the_decoder_does_not_say() -> None:
    study = [[0.0, LIKELY, LIKELY, 0.0]]
    assert told(draft(study, Stubborn())) == ["The lungs are clear."]
    (findings,) = told(draft(study, Stubborn(), EDITED))
    assert sorted(findings.split(". ")) == ["Cardiomegaly", "Pleural effusion", "The lungs are clear."]


def test_a_sentence_that_is_put_first_tells_no_side() -> None:
    study = [[0.0, UNLIKELY, 4.0, 0.0], [0.0, UNLIKELY, LIKELY, 0.0]]
    told_surely = replace(HOW, guidance=None)
    assert told(draft([[-1.0, -1.0, 4.0, -1.0]], Decided(), told_surely)) == [
        "Left pleural effusion. The lungs are clear."
    ]
    assert told(draft(study, Decided(), EDITED)) == ["Pleural effusion. The lungs are clear."] * 2


def test_a_sentence_that_names_only_the_unlikely_is_left_out() -> None:
    studies = [[0.0, UNLIKELY, UNLIKELY, 0.0], [0.0, LIKELY, UNLIKELY, 0.0]]
    assert told(draft(studies, Alarmist())) == ["Cardiomegaly. The lungs are clear."] * 2
    edited = told(draft(studies, Alarmist(), EDITED))
    assert edited == ["The lungs are clear.", "Cardiomegaly. The lungs are clear."]


def test_of_two_kinds_the_likelier_is_named() -> None:
    drafter = Drafter(
        model=cast(Any, Timid()),
        tokenizer=TOKENIZER,
        ids=IDS,
        concepts=("Lung", "Lung/hypoinflation", "Lung/hyperdistention", "Aorta"),
        how=EDITED,
    )
    phrases = {0: (10, 5), 1: (11, 5), 2: (12, 5), 3: (13, 5)}
    drafter.__dict__["phrases"] = phrases  # as if it had told them
    assert drafter._phrase(0, [0.5, 0.1, 0.2, 0.0]) == phrases[2]  # noqa: SLF001
    assert drafter._phrase(0, [0.5, 0.3, 0.2, 0.0]) == phrases[1]  # noqa: SLF001
    assert drafter._phrase(3, [0.5, 0.3, 0.2, 0.0]) == phrases[3]  # noqa: SLF001
    phrases.pop(1)
    assert drafter._phrase(0, [0.5, 0.3, 0.2, 0.0]) == phrases[2]  # noqa: SLF001


@pytest.mark.parametrize(("stands", "tried"), [("the thoracic aorta is tortuous", 0), ("the aorta is normal", 1)])
def test_a_sentence_whose_words_stand_there_is_not_put_in(stands: str, tried: int) -> None:
    words = report_tokens((stands,), ("no disease",))
    tokenizer = build_tokenizer([words, report_tokens(("tortuous aorta",), ("no disease",))], 1)
    ids = special_tokens(tokenizer)
    drafter = Drafter(model=cast(Any, Timid()), tokenizer=tokenizer, ids=ids, concepts=("Aorta",), how=EDITED)
    drafter.__dict__["phrases"] = {0: tuple(text.encode(tokenizer, ["tortuous", "aorta", "."]))}
    draft = Decoded(tokens=tuple(text.encode(tokenizer, words)[1:]), confidence=0.0)
    choice = _Choice(draft=draft, told=(), named=frozenset(), value=0.0)
    assert len(list(drafter._edit(0, choice, [0.5], replace(GUIDANCE, edits=True)))) == tried  # noqa: SLF001


@pytest.mark.parametrize(("conclude", "impression"), [(0.8, "Cardiomegaly. No disease."), (0.9, "No disease.")])
def test_an_impression_repeats_a_finding_that_is_likely(conclude: float, impression: str) -> None:
    sure = [[0.0, 4.0, UNLIKELY, 0.0]]  # a chance of .88
    (concluded,), (plain,) = draft(sure, Timid(), replace(HOW, conclude=conclude)), draft(sure, Timid())
    sections = text.split_sections(text.decode(TOKENIZER, concluded.tokens))
    assert [text.detokenize(words) for words in sections] == ["Cardiomegaly. The lungs are clear.", impression]
    assert (concluded.confidence < plain.confidence - 1) == (concluded.tokens != plain.tokens)


def test_a_checkpoint_keeps_its_guidance(saved: Path, tmp_path: Path) -> None:
    known = load_checkpoint(saved)
    assert known.manifest.decoding.guidance is None
    assert known.manifest.decoding.conclude == 1
    decoding = replace(known.manifest.decoding, guidance=GUIDANCE, conclude=0.3)
    manifest = replace(known.manifest, decoding=decoding)
    save_checkpoint(tmp_path, manifest=manifest, model=known.model, tokenizer=known.tokenizer, card="")
    assert load_checkpoint(tmp_path).manifest.decoding == decoding
