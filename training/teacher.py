"""The consensus as a teacher: draws evidence and indication for a study, and tells the report to write.

Legend: B studies, N written reports, K concepts. Prepared once: candidates are every written section, and popular
ones with one more sentence that names a problem; those that no draw of any train study chooses are left out. Words
of an indication are dropped at random, so that a decoder learns more indications than there are. Knows no image.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Generator, Tensor

from pipeline import text
from training.captions import Lesson
from training.config import ConsensusConfig
from training.consensus import Archive, Candidates, composed, likeness, names_of
from training.evidence import assure, draw_evidence
from training.grams import Vectors
from training.reward import Truthfulness, said_by

log = logging.getLogger(__name__)
SENTENCES_PER_PROBLEM = 4
BATCH = 256
WORD_DROPOUT = 0.1
ASKED = 8.0  # what an equal indication is worth for a problem's chance; more than for words (`department`)
Sentences = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section's candidates and how they are chosen among."""

    candidates: Candidates
    how: ConsensusConfig


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Gives lessons on the studies it was made from."""

    archive: Archive
    apart: Tensor  # [K] how well the head tells each concept
    worth: Tensor  # [P] of naming a problem
    words: Sequence[Sequence[str]]  # of each study's indication
    sections: tuple[Section, Section]
    tokenizer: Tokenizer
    kin: Tensor | None = None  # [K, K] how its errors go together; independent where there is none
    sure: float = 0.0  # share of the lessons that tell one problem beyond doubt

    def lesson(self, index: Sequence[int], hidden: Sequence[bool], generator: Generator) -> Lesson:
        """A lesson on some studies, the indication of some hidden."""
        rows = torch.tensor(list(index))
        drawn = draw_evidence(self.archive.concepts[rows], self.apart, generator, self.kin)
        evidence = assure(drawn, self.archive.places, self.sure, generator)
        told = [[] if hide else _thin(self.words[i], generator) for i, hide in zip(index, hidden, strict=True)]
        indications = self.archive.vectors.dense(told)
        choices = self._choices(evidence, indications, rows)
        reports = zip(*self._texts(choices), strict=True)
        return Lesson(
            evidence=evidence,
            indications=[text.encode(self.tokenizer, words) for words in told],
            tokens=[text.encode(self.tokenizer, text.report_tokens(*report)) for report in reports],
            choices=choices,
            expected=self.archive.expect(evidence, indications, ConsensusConfig(department=ASKED), rows),
        )

    def choose(self, evidence: Tensor, told: Sequence[Sequence[str]]) -> tuple[list[Sentences], list[Sentences]]:
        """Findings and impression of studies that the teacher does not know."""
        return self._texts(self._choices(evidence, self.archive.vectors.dense(told), None))

    def _choices(self, evidence: Tensor, indications: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
        findings, impressions = (self._best(part, evidence, indications, own) for part in self.sections)
        return findings, impressions

    def _texts(self, choices: tuple[Tensor, Tensor]) -> tuple[list[Sentences], list[Sentences]]:
        findings, impressions = (
            [section.candidates.texts[i] for i in chosen.tolist()]
            for section, chosen in zip(self.sections, choices, strict=True)
        )
        return findings, impressions

    def _best(self, section: Section, evidence: Tensor, indications: Tensor, own: Tensor | None) -> Tensor:
        weights = self.archive.weigh(evidence, indications, section.how, own)
        expected = self.archive.expect(evidence, indications, section.how, own)
        return section.candidates.choose(weights, expected, self.worth, section.how)


def _thin(words: Sequence[str], generator: Generator) -> list[str]:
    if not words:
        return []
    kept = torch.rand(len(words), generator=generator) >= WORD_DROPOUT
    return [word for word, keep in zip(words, kept.tolist(), strict=True) if keep]


def prepare_teacher(
    *,
    concepts: Tensor,
    names: Sequence[str],
    apart: Tensor,
    truth: Truthfulness,
    indications: Sequence[Sequence[str]],
    written: tuple[Sequence[Sentences], Sequence[Sentences]],
    references: tuple[Sequence[str], Sequence[str]],
    how: tuple[ConsensusConfig, ConsensusConfig],
    tokenizer: Tokenizer,
    seed: int,
    kin: Tensor | None = None,
    sure: float = 0.0,
) -> Teacher:
    """A teacher from studies: their concepts [N, K] by name, sections as sentences, and cleaned references."""
    vectors = Vectors.of(indications)
    problems = torch.tensor([[float(label in labels) for label in truth.worth] for labels in truth.coded])
    archive = Archive(
        concepts=concepts.float(),
        problems=problems,
        indications=vectors.dense(indications),
        vectors=vectors,
        places=torch.tensor([names.index(label) for label in truth.worth], dtype=torch.long),
    )
    worth = torch.tensor(list(truth.worth.values()))
    generator = torch.Generator().manual_seed(seed)
    sections = []
    for texts, cleaned, settings in zip(written, references, how, strict=True):
        lesson = _Preparation(archive, apart, worth, truth, cleaned, settings, kin, sure)
        sections.append(Section(candidates=lesson.candidates(texts, generator), how=settings))
        log.info("consensus: %d candidates kept", len(sections[-1].candidates.texts))
    return Teacher(
        archive=archive,
        apart=apart,
        worth=worth,
        words=indications,
        sections=(sections[0], sections[1]),
        tokenizer=tokenizer,
        kin=kin,
        sure=sure,
    )


@dataclass(frozen=True)
class _Preparation:
    archive: Archive
    apart: Tensor
    worth: Tensor
    truth: Truthfulness
    references: Sequence[str]
    how: ConsensusConfig
    kin: Tensor | None
    sure: float

    def candidates(self, written: Sequence[tuple[str, ...]], generator: Generator) -> Candidates:
        texts = list(dict.fromkeys(written))
        whole = self._measured(texts)
        picked = self._picked(whole, generator)
        bases = [i for i, _ in picked.most_common(self.how.composed)]
        telling = self._telling(written)
        more = (
            composed([texts[i] for i in bases], telling, whole.names[torch.tensor(bases)], self.truth)
            if bases
            else []
        )
        kept = whole.only(sorted(picked))
        if more:
            kept = _joined(kept, self._measured(sorted(set(more) - set(texts))))
        return kept.only(sorted(self._picked(kept, generator)))

    def _measured(self, texts: Sequence[tuple[str, ...]]) -> Candidates:
        cleaned = [text.clean_r2gen(sentences_text(sentences)) for sentences in texts]
        return Candidates(
            texts=texts,
            likeness=likeness(cleaned, self.references, self.how),
            names=names_of(texts, self.truth),
        )

    def _picked(self, candidates: Candidates, generator: Generator) -> Counter[int]:
        """How often each candidate is chosen, with and without indications."""
        picked: Counter[int] = Counter()
        for number in range(self.how.rounds):
            shown = 0.0 if number % 4 == 3 else 1.0  # noqa: PLR2004 - every fourth round hides all indications
            for start in range(0, len(self.archive.concepts), BATCH):
                rows = torch.arange(start, min(start + BATCH, len(self.archive.concepts)))
                drawn = draw_evidence(self.archive.concepts[rows], self.apart, generator, self.kin)
                evidence = assure(drawn, self.archive.places, self.sure, generator)
                told = shown * self.archive.indications[rows]
                weights = self.archive.weigh(evidence, told, self.how, rows)
                expected = self.archive.expect(evidence, told, self.how, rows)
                picked.update(candidates.choose(weights, expected, self.worth, self.how).tolist())
        return picked

    def _telling(self, written: Sequence[tuple[str, ...]]) -> list[list[str]]:
        """The most frequent sentences that name each problem."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for sentences in written:
            for sentence in sentences:
                for label in said_by(sentence).named:
                    found[label][sentence] += 1
        return [[s for s, _ in found[label].most_common(SENTENCES_PER_PROBLEM)] for label in self.truth.worth]


def _joined(first: Candidates, second: Candidates) -> Candidates:
    return Candidates(
        texts=[*first.texts, *second.texts],
        likeness=torch.cat([first.likeness, second.likeness]),
        names=torch.cat([first.names, second.names]),
    )


def sentences_text(sentences: Sequence[str]) -> str:
    """Sentences as a report shows them."""
    return text.detokenize([word for sentence in sentences for word in (*sentence.split(), text.STOP)])
