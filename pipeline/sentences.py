"""A draft as its sentences, with what each names and denies: split, joined, settled, concluded.

Assumes the form of `pipeline.decoding`: marks of the sections, and sentences that end with a full stop. Knows no
model; which problems are likely is told.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import Tokenizer

from pipeline import text
from pipeline.decoding import Tokens
from pipeline.findings import Said, said


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A sentence, or the mark of a section."""

    tokens: tuple[int, ...]
    said: Said


@dataclass(frozen=True, kw_only=True, slots=True)
class Splitter:
    """Reads tokens as sentences."""

    tokenizer: Tokenizer
    ids: Tokens

    def split(self, tokens: Sequence[int]) -> list[Part]:
        """The parts of a draft, in their order."""
        ends = [place + 1 for place, token in enumerate(tokens) if token in (self.ids.stop, *self._marks)]
        bounds = [0, *ends, *([len(tokens)] if not ends or ends[-1] != len(tokens) else [])]
        parts = (tuple(tokens[start:end]) for start, end in pairwise(bounds))
        return [Part(tokens=part, said=self.say(part)) for part in parts]

    def say(self, tokens: Sequence[int]) -> Said:
        """What one sentence says."""
        return said(text.detokenize(text.decode(self.tokenizer, tokens)))

    def is_whole(self, parts: Sequence[Part]) -> bool:
        """Whether no section is empty: a mark is never followed by the next one."""
        lone = [len(part.tokens) == 1 and part.tokens[0] in self._marks for part in parts]
        return not any(one and other for one, other in pairwise(lone))

    def settle(self, parts: Sequence[Part], disputable: Collection[str], likely: Collection[str]) -> list[Part]:
        """Without the sentences that contradict another: what is likely stays named, the rest denied.

        A sentence that names something else that is likely stays. All stay where a section would be empty.
        """
        disputed = named(parts) & denied(parts) & {*disputable}
        kept = [part for part in parts if not _is_wrong(part.said, disputed, likely)]
        return kept if self.is_whole(kept) else list(parts)

    def conclude(self, parts: Sequence[Part], likely: Collection[str]) -> list[Part]:
        """With an impression that begins with the findings that name what is likely.

        What it names or denies already is not repeated, nor is a sentence that denies something.
        """
        start = next((place for place, part in enumerate(parts, 1) if part.tokens[-1] == self.ids.impression), 0)
        findings, impression = parts[:start], parts[start:]
        known, repeated = named(impression) | denied(impression), []
        for part in findings:
            is_sentence = part.tokens[-1] == self.ids.stop
            if is_sentence and not part.said.denied and (part.said.named - known) & {*likely}:
                repeated.append(part)
                known |= part.said.named
        return [*findings, *repeated, *impression]

    @property
    def _marks(self) -> tuple[int, ...]:
        return (self.ids.findings, self.ids.impression, self.ids.eos)


def named(parts: Iterable[Part]) -> frozenset[str]:
    """The problems that any part names."""
    return frozenset[str]().union(*(part.said.named for part in parts))


def denied(parts: Iterable[Part]) -> frozenset[str]:
    """The problems that any part denies."""
    return frozenset[str]().union(*(part.said.denied for part in parts))


def joined(parts: Iterable[Part]) -> tuple[int, ...]:
    """The parts as tokens again."""
    return tuple(token for part in parts for token in part.tokens)


def _is_wrong(told: Said, disputed: Collection[str], likely: Collection[str]) -> bool:
    """Whether a sentence takes the wrong side in what is disputed, and says nothing else worth saying."""
    denies_likely = any(label in disputed and label in likely for label in told.denied)
    names_unlikely = any(label in disputed and label not in likely for label in told.named)
    return denies_likely or (names_unlikely and not any(label in likely for label in told.named))
