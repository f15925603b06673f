"""Fine-tuning: a new model takes over the weights of an earlier one, words and concepts by their names.

Two models of one architecture may know other words or concepts, or the same ones in another order. Which dimension
of which tensor counts them is found by building the model with one more of each, so that no list of names has to
follow the models. A word or concept that is new keeps its first random weights; a tensor of another size is left
alone and named. Assumes that the model's other settings are the earlier one's, as far as it is to gain from it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from pipeline.checkpoint import Checkpoint
from pipeline.errors import UsageError

log = logging.getLogger(__name__)
Build = Callable[[int, int], nn.Module]  # number of words, number of concepts -> a model of the same settings
Dimensions = dict[str, tuple[str, ...]]  # tensor -> what each dimension counts: "words", "concepts" or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What a model's ids stand for, in their order."""

    words: Sequence[str]
    concepts: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """Which tensors were filled."""

    whole: tuple[str, ...]
    in_part: tuple[str, ...]  # some of their words or concepts are new
    left: tuple[str, ...]  # nothing fitted


def warm_start(
    model: nn.Module,
    start: Checkpoint,
    *,
    architecture: str,
    tokenizer: Tokenizer,
    concepts: Sequence[str],
    build: Build,
) -> Carried:
    """Fill a new model from a checkpoint of the same architecture."""
    if start.manifest.architecture != architecture:
        raise UsageError(
            f"start_from names {start.manifest.title}, which has architecture {start.manifest.architecture!r}, "
            f"not {architecture!r}; name a checkpoint of that architecture"
        )
    then = Names(words=words_of(start.tokenizer), concepts=start.manifest.concepts)
    now = Names(words=words_of(tokenizer), concepts=concepts)
    carried = carry_over(model, start.model.state_dict(), then=then, now=now, build=build)
    if not carried.whole and not carried.in_part:
        raise UsageError(f"no weights of {start.manifest.title} fit the model; make its sizes those of start_from")
    known = len(set(then.words) & set(now.words))
    log.info(
        "%s: %d tensors taken over whole, %d in part, %d left; %d of %d words were known; left: %s",
        start.manifest.title,
        len(carried.whole),
        len(carried.in_part),
        len(carried.left),
        known,
        len(now.words),
        ", ".join(carried.left) or "none",
    )
    return carried


def words_of(tokenizer: Tokenizer) -> list[str]:
    """The vocabulary in the order of its ids."""
    return [str(tokenizer.id_to_token(number)) for number in range(tokenizer.get_vocab_size())]


def named_dimensions(build: Build, names: Names) -> Dimensions:
    """What each dimension counts, found by building without memory."""
    words, concepts = len(names.words), len(names.concepts)
    plain = _shapes(build, words, concepts)
    grown = {"words": _shapes(build, words + 1, concepts), "concepts": _shapes(build, words, concepts + 1)}
    counts = {"words": words, "concepts": concepts}
    return {
        key: tuple(
            next(
                (
                    kind
                    for kind, other in grown.items()
                    if (other[key][place], size) == (counts[kind] + 1, counts[kind])
                ),
                "",
            )
            for place, size in enumerate(shape)
        )
        for key, shape in plain.items()
    }


def _shapes(build: Build, words: int, concepts: int) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: value.shape for key, value in build(words, concepts).state_dict().items()}


@torch.no_grad()
def carry_over(model: nn.Module, state: Mapping[str, Tensor], *, then: Names, now: Names, build: Build) -> Carried:
    """Copy what fits: tensors of the same name, their words and concepts by name."""
    shared = {"words": _shared(then.words, now.words), "concepts": _shared(then.concepts, now.concepts)}
    sizes = {"words": len(then.words), "concepts": len(then.concepts)}
    carried: dict[str, list[str]] = {"whole": [], "in_part": [], "left": []}
    dimensions = named_dimensions(build, now)
    for key, own in model.state_dict().items():
        old = state.get(key)
        kinds = dimensions[key]
        wanted = tuple(sizes.get(kind, size) for kind, size in zip(kinds, own.shape, strict=True))
        if old is None or tuple(old.shape) != wanted:
            carried["left"].append(key)
            continue
        filled = _copy_rows(own, old, [shared.get(kind) for kind in kinds])
        carried["whole" if filled == own.numel() else "in_part" if filled else "left"].append(key)
    return Carried(**{kind: tuple(keys) for kind, keys in carried.items()})


def _shared(then: Sequence[str], now: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Positions of the common names, there and here."""
    places = {name: place for place, name in enumerate(then)}
    pairs = [(places[name], place) for place, name in enumerate(now) if name in places]
    both = torch.tensor(pairs, dtype=torch.long).view(-1, 2)
    return both[:, 0], both[:, 1]


def _copy_rows(own: Tensor, old: Tensor, named: Sequence[tuple[Tensor, Tensor] | None]) -> int:
    """Copy the common part of every dimension; the number of values that were copied."""
    index: list[Tensor] = []
    for place, names in enumerate(named):
        every = torch.arange(own.shape[place])
        there, here = names or (every, every)
        old = old.index_select(place, there.to(old.device))
        index.append(here.view(-1, *[1] * (own.dim() - place - 1)).to(own.device))
    if index:
        own[tuple(index)] = old.to(own)
    else:
        own.copy_(old)
    return old.numel()
