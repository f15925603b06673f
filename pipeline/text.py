"""A report's text: cleaning for scores and for training, the word tokenizer, and back to sentences.

Two cleanings exist and must not be mixed up. `clean_r2gen` is the published protocol by which texts are scored.
`clean_target` makes what a model learns to write: plain sentences that need no other study and hold no
de-identification gaps. Assumes English reports. Knows no model and no labels.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from pipeline.study import Background

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
FINDINGS, IMPRESSION = "<findings>", "<impression>"
SPECIAL = (PAD, BOS, EOS, UNK, FINDINGS, IMPRESSION)
STOP, COMMA = ".", ","
INDICATION_TOKENS = 48  # of what was known before the images; the rest is not read

_SEXES = {"F": "female", "M": "male"}
_INDICATED = re.compile(r"[a-z0-9]+(?:[-'/][a-z0-9]+)*|[.,]")

_R2GEN_QUOTES = re.compile(r"[\"'/\\]")
_R2GEN_DROPPED = re.compile(r"[.,?;*!%^&_+():<=>@\[\]{}]")
_R2GEN_REPLACEMENTS = (
    *((("..", "."),) * 3),
    ("1. ", ""),
    *((f". {number}. ", ". ") for number in range(2, 6)),
    *((f" {number}. ", ". ") for number in range(2, 6)),
)
_SENTENCE_END = re.compile(r"(?<=[.;:!?])\s+")
_LIST_NUMBER = re.compile(r"(?:^|(?<=\s))\d{1,2}[.)](?=\s|[A-Za-z])")
_MISSING_SPACE = re.compile(r"(?<=[a-z])\.(?=[A-Z])")
_NOT_A_WORD = re.compile(r"[^a-z0-9,'/-]+")

# De-identification took whole words; these can be told from what is left around them.
_REPAIRS = (
    (re.compile(r"\bx-xxxx\b"), "x-ray"),
    (re.compile(r"\blymph xxxx\b"), "lymph nodes"),
    (re.compile(r"\bno xxxx (?=(?:of|for)\b)"), "no evidence "),
    (re.compile(r"\bno xxxx (?=focal|acute|large|pleural|infiltrate)"), "no "),
    (re.compile(r"\bpulmonary xxxx (?=and mediastinum\b|and vasculature\b)"), "pulmonary vascularity "),
    (re.compile(r"\baortic xxxx\b"), "aortic arch"),
    (re.compile(r"\bcostophrenic xxxx\b"), "costophrenic angles"),
    (re.compile(r"\bmost xxxx\b"), "most likely"),
    (re.compile(r"\bprior (?=granulomatous\b)"), "old "),
)

# Words that speak of an earlier study, where the sentence stands without them.
_COMPARING_WORDS = (
    (re.compile(r"^(?:stable|unchanged|again,?) (?=\w)"), ""),
    (re.compile(r"\b(?:again|redemonstrated and) (?=noted|seen|identified|demonstrated|visualized)"), ""),
    (re.compile(r"\b(?:stable|unchanged) (?=[a-z-]+ [a-z])"), ""),
)
# A model that sees one study cannot know these; a sentence that still needs them is not learnt.
_NEEDS_ANOTHER_STUDY = re.compile(
    r"\b(?:prior|previous(?:ly)?|comparison|compared?|interval|since|unchanged|stable|again|redemonstrat\w+|"
    r"new|worsen\w*|improv\w+|increas(?:ed|ing) (?:in size|since)|xxxx|dr|telephone\w*|discussed|notif\w+|"
    r"primordial)\b"
)
_WHOLE_SENTENCES = frozenset({"atelectasis", "cardiomegaly", "copd", "emphysema", "kyphosis", "scoliosis"})


def clean_r2gen(report: str) -> str:
    """A report in the form in which published results are scored: lower-case sentences joined by " . "."""
    text = report.replace("\n", " ")
    for old, new in _R2GEN_REPLACEMENTS:
        text = text.replace(old, new)
    sentences = (_r2gen_sentence(part) for part in text.strip().lower().split(". "))
    return " . ".join(sentence for sentence in sentences if sentence) + " ."


def _r2gen_sentence(sentence: str) -> str:
    return _R2GEN_DROPPED.sub("", _R2GEN_QUOTES.sub("", sentence)).strip()


def clean_target(section: str) -> list[str]:
    """The sentences of a section that a model may learn to write, each as words separated by blanks."""
    text = _LIST_NUMBER.sub(" ", _MISSING_SPACE.sub(". ", section.replace("\n", " ")))
    sentences = (_target_sentence(part) for part in _SENTENCE_END.split(text))
    return [sentence for sentence in sentences if sentence]


def _target_sentence(sentence: str) -> str:
    text = " ".join(sentence.lower().split())
    for pattern, instead in (*_REPAIRS, *_COMPARING_WORDS):
        text = pattern.sub(instead, text)
    if _NEEDS_ANOTHER_STUDY.search(text):
        return ""
    text = _NOT_A_WORD.sub(" ", text).replace(COMMA, f" {COMMA} ")
    words = [word.strip("-/'") or "" for word in text.split()]
    words = [word for word, _ in groupby(words) if word]  # a word that was typed twice is one
    while words and words[-1] == COMMA:
        words.pop()
    return " ".join(words) if len(words) > 1 or (words and words[0] in _WHOLE_SENTENCES) else ""


def report_tokens(findings: Sequence[str], impression: Sequence[str]) -> list[str]:
    """Both sections as one sequence, from <bos> to <eos>."""
    return [BOS, FINDINGS, *_section_tokens(findings), IMPRESSION, *_section_tokens(impression), EOS]


def _section_tokens(sentences: Iterable[str]) -> list[str]:
    return [token for sentence in sentences for token in (*sentence.split(), STOP)]


def background_tokens(background: Background) -> list[str]:
    """What was known before the images, as words: sex and decade of life first, then the indication's own.

    Full stops and commas stay: where they stand tells how a department writes, and its reports follow it.
    """
    told = [_SEXES[background.sex]] if background.sex in _SEXES else []
    if background.age is not None:
        told.append(f"age-{int(background.age // 10) * 10}")
    return [*told, *_INDICATED.findall(background.indication.lower())][:INDICATION_TOKENS]


def build_tokenizer(
    sequences: Iterable[Sequence[str]], at_least: int, *, indications: Iterable[Sequence[str]] = ()
) -> Tokenizer:
    """A word-level tokenizer of the words that occur often enough, most frequent first.

    Words that only indications hold come last, so that the reports' words keep their ids.
    """
    words = _frequent(sequences, at_least)
    words += sorted(set(_frequent(indications, at_least)) - set(words))
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _frequent(sequences: Iterable[Sequence[str]], at_least: int) -> list[str]:
    counts = Counter(token for sequence in sequences for token in sequence if token not in SPECIAL)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [word for word, count in ranked if count >= at_least]


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json."""
    return Tokenizer.from_file(str(path))


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token; of <unk> if it is not in the vocabulary."""
    number = tokenizer.token_to_id(token)
    return int(tokenizer.token_to_id(UNK) or 0) if number is None else int(number)


def encode(tokenizer: Tokenizer, tokens: Sequence[str]) -> list[int]:
    """Tokens -> ids."""
    return [token_id(tokenizer, token) for token in tokens]


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Ids -> tokens."""
    return [str(tokenizer.id_to_token(number)) for number in ids]


def split_sections(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """A generated sequence -> the words of its findings and of its impression."""
    body = [token for token in tokens if token not in (PAD, BOS, UNK, FINDINGS)]
    body = body[: body.index(EOS)] if EOS in body else body
    middle = body.index(IMPRESSION) if IMPRESSION in body else len(body)
    return body[:middle], [token for token in body[middle:] if token != IMPRESSION]


def detokenize(words: Sequence[str]) -> str:
    """Words -> sentences: "heart size is normal ." -> "Heart size is normal.". Drops a cut-off last sentence."""
    sentences = " ".join(words).split(f" {STOP}")
    whole, cut_off = [part.strip() for part in sentences[:-1]], sentences[-1].strip()
    kept = [part for part in whole if part] or ([cut_off] if cut_off else [])
    return " ".join(f"{_sentence_case(part)}." for part in kept)


def sentence_words(sentence: str) -> list[str]:
    """The words that `detokenize` made a sentence of: "Heart size is normal." -> "heart size is normal"."""
    return sentence.lower().rstrip(f" {STOP}").replace(COMMA, f" {COMMA} ").split()


_CAPITALS = {word: word.upper() for word in ("copd", "picc", "svc", "cabg", "ct", "chf", "ij", "ap", "pa", "aicd")}


def _sentence_case(sentence: str) -> str:
    text = " ".join(_CAPITALS.get(word, word) for word in sentence.split()).replace(f" {COMMA}", COMMA)
    return text[:1].upper() + text[1:]
