from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from pipeline import text
from pipeline.errors import UsageError
from training.warm_start import Names, carry_over, named_dimensions, warm_start, words_of

WIDTH = 9  # as many as there are words: a size alone tells nothing
OLD = Names(
    words=["<pad>", "lung", "clear", "heart", "a", "b", "c", "d", "e"], concepts=["Opacity", "Nodule", "x"]
)
NEW = Names(
    words=["<pad>", "heart", "rib", "clear", "e", "d", "c", "b", "a"], concepts=["Nodule", "Mass", "Opacity"]
)


class Tiny(nn.Module):
    """Words and concepts in every place they can take."""

    def __init__(self, words: int, concepts: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, WIDTH)
        self.out = nn.Linear(WIDTH, words)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.told = nn.Linear(concepts, WIDTH)
        self.cross = nn.Parameter(torch.randn(concepts, words))
        self.temperature = nn.Parameter(torch.randn(()))


def test_dimensions_are_told_from_sizes_that_happen_to_be_the_same() -> None:
    found = named_dimensions(Tiny, NEW)
    assert found["words.weight"] == ("words", "")
    assert found["out.weight"] == ("words", "")
    assert found["out.bias"] == ("words",)
    assert found["mix.weight"] == ("", "")
    assert found["told.weight"] == ("", "concepts")
    assert found["cross"] == ("concepts", "words")
    assert found["temperature"] == ()


def test_words_and_concepts_are_carried_over_by_name() -> None:
    old, new = Tiny(9, 3), Tiny(9, 3)
    first = {key: value.clone() for key, value in new.state_dict().items()}
    carried = carry_over(new, old.state_dict(), then=OLD, now=NEW, build=Tiny)
    assert set(carried.whole) == {"mix.weight", "mix.bias", "told.bias", "temperature"}
    assert set(carried.in_part) == {"words.weight", "out.weight", "out.bias", "told.weight", "cross"}
    for place, word in enumerate(NEW.words):
        if word == "rib":
            assert torch.equal(new.words.weight[place], first["words.weight"][place])
        else:
            assert torch.equal(new.words.weight[place], old.words.weight[OLD.words.index(word)])
            assert new.out.bias[place] == old.out.bias[OLD.words.index(word)]
    assert torch.equal(new.told.weight[:, 2], old.told.weight[:, 0])
    assert torch.equal(new.told.weight[:, 1], first["told.weight"][:, 1])
    assert new.cross[0, 1] == old.cross[1, 3]
    assert new.cross[1, 1] == first["cross"][1, 1]
    assert torch.equal(new.mix.weight, old.mix.weight)


def test_vocabularies_may_grow_and_shrink() -> None:
    new = Names(words=["<pad>", "clear"], concepts=["Mass", "Opacity", "y", "z"])
    model, old = Tiny(2, 4), Tiny(9, 3)
    carried = carry_over(model, old.state_dict(), then=OLD, now=new, build=Tiny)
    assert "words.weight" in carried.whole
    assert torch.equal(model.words.weight[1], old.words.weight[2])
    assert torch.equal(model.told.weight[:, 1], old.told.weight[:, 0])


def test_what_does_not_fit_is_left_and_named() -> None:
    model, state = Tiny(9, 3), Tiny(9, 3).state_dict()
    state["mix.weight"] = torch.zeros(4, 4)
    del state["temperature"]
    before = model.mix.weight.clone()
    carried = carry_over(model, state, then=OLD, now=OLD, build=Tiny)
    assert set(carried.left) == {"mix.weight", "temperature"}
    assert torch.equal(model.mix.weight, before)
    assert not carried.in_part


@dataclass
class _Manifest:
    architecture: str = "tiny"
    title: str = "tiny 1"
    concepts: tuple[str, ...] = ("Opacity",)


def _checkpoint(model: nn.Module, words: list[str]) -> Any:
    return SimpleNamespace(manifest=_Manifest(), model=model, tokenizer=text.build_tokenizer([words], 1))


def test_a_checkpoint_is_the_start_of_a_model_with_more_words(caplog: pytest.LogCaptureFixture) -> None:
    start = _checkpoint(Tiny(8, 1), ["clear", "lung"])
    tokenizer = text.build_tokenizer([["lung", "rib", "rib"]], 1)
    model = Tiny(8, 2)
    with caplog.at_level("INFO"):
        warm_start(
            model, start, architecture="tiny", tokenizer=tokenizer, concepts=["Mass", "Opacity"], build=Tiny
        )
    there, here = words_of(start.tokenizer).index("lung"), words_of(tokenizer).index("lung")
    assert there != here or words_of(start.tokenizer) != words_of(tokenizer)
    assert torch.equal(model.words.weight[here], cast("Tiny", start.model).words.weight[there])
    assert "7 of 8 words were known" in caplog.text


def test_another_architecture_is_refused() -> None:
    start = _checkpoint(Tiny(8, 1), ["clear", "lung"])
    with pytest.raises(UsageError, match=r"tiny 1, which has architecture 'tiny', not 'transformer'; name a"):
        warm_start(
            Tiny(8, 1),
            start,
            architecture="transformer",
            tokenizer=start.tokenizer,
            concepts=["Opacity"],
            build=Tiny,
        )
    other = nn.Linear(2, 2)
    with pytest.raises(UsageError, match="no weights of tiny 1 fit the model"):
        warm_start(
            other, start, architecture="tiny", tokenizer=start.tokenizer, concepts=["Opacity"],
            build=lambda _, __: nn.Linear(2, 2),
        )  # fmt: skip
