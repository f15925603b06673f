"""The Indiana collection's val studies, as both protocols judge them; read once."""

import os
from pathlib import Path

import pytest

from training.baselines import baseline_drafts
from training.datasets import Example, read_examples
from training.drafts import Draft
from training.scores import R2GenProtocol

DATA = Path(os.environ.get("NIGHTREAD_TEST_DATA", Path(__file__).parents[3] / "shared")) / "iuxray"


@pytest.fixture(scope="session")
def collection() -> Path:
    if not DATA.is_dir():
        pytest.skip("the Indiana collection is not here")
    return DATA


@pytest.fixture(scope="session")
def truth(collection: Path) -> list[Example]:
    return [example for example in read_examples(collection, "val") if example.findings]


@pytest.fixture(scope="session")
def protocol(collection: Path) -> R2GenProtocol:
    return R2GenProtocol.from_train([example.findings for example in read_examples(collection, "train")])


@pytest.fixture(scope="session")
def baselines(collection: Path, truth: list[Example], protocol: R2GenProtocol) -> dict[str, list[Draft]]:
    return baseline_drafts(read_examples(collection, "train"), truth, protocol)
