"""A configuration's mistakes, all told at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from training.toml_tables import Among, Present, Within, missing_paths, read_tables


@dataclass(frozen=True, kw_only=True)
class Oven:
    """A table with a field of each type."""

    heat: Annotated[float, Within(0, 250, above=True)]
    loaves: Annotated[int, Within(1)] = 1
    kind: Literal["gas", "wood"] = "gas"
    place: Annotated[str, Among(("inn", "out"))] = "inn"
    flours: tuple[str, ...] = ()
    recipe: Annotated[Path, Present()] | None = None
    fan: bool = False


@dataclass(frozen=True, kw_only=True)
class Bakery:
    """The whole document."""

    oven: Oven
    sha256: str = ""


def complaints(**oven: Any) -> list[str]:
    return [problem.kind for problem in read_tables({"oven": oven}, Bakery)[1]]


def test_a_sound_table_becomes_its_dataclass() -> None:
    tables, problems = read_tables({"oven": {"heat": 200, "flours": ["rye"], "recipe": "a/b"}}, Bakery)
    assert not problems
    assert tables == {"oven": Oven(heat=200.0, flours=("rye",), recipe=Path("a/b"))}


@pytest.mark.parametrize(
    ("oven", "complaint"),
    [
        ({"heat": 0}, "[oven] heat is 0, not above 0 and at most 250"),
        ({"heat": True}, "[oven] heat is True, not a number"),
        ({"heat": 1, "loaves": 0}, "[oven] loaves is 0, not at least 1"),
        ({"heat": 1, "loaves": 2.5}, "[oven] loaves is 2.5, not a whole number"),
        ({"heat": 1, "loaves": True}, "[oven] loaves is True, not a whole number"),
        ({"heat": 1, "kind": "oil"}, "[oven] kind is 'oil', not one of gas, wood"),
        ({"heat": 1, "place": "up"}, "[oven] place is 'up', not one of inn, out"),
        ({"heat": 1, "flours": "rye"}, "[oven] flours is 'rye', not a list"),
        ({"heat": 1, "flours": ["rye", 3]}, "[oven] flours is ['rye', 3], not a list of which each is a text"),
        ({"heat": 1, "recipe": 3}, "[oven] recipe is 3, not a path"),
        ({"heat": 1, "fan": "yes"}, "[oven] fan is 'yes', not true or false"),
        ({"heat": 1, "loafs": 2}, "[oven] has no setting 'loafs'; did you mean 'loaves'?"),
        ({}, "[oven] does not say 'heat'"),
    ],
)
def test_what_does_not_fit_is_told_with_its_value(oven: dict[str, Any], complaint: str) -> None:
    assert complaints(**oven) == [complaint]


def test_all_mistakes_are_told_and_unknown_tables_too() -> None:
    assert len(complaints(heat=999, loaves=0, colour="red")) == 3
    _, problems = read_tables({"ovens": {}, "oven": 3}, Bakery)
    assert [problem.kind for problem in problems] == [
        "there is no table [ovens]; did you mean 'oven'?",
        "oven is 3; write its settings in a table [oven]",
    ]


def test_a_path_that_must_be_there_is_looked_for(tmp_path: Path) -> None:
    (found,) = missing_paths(Oven(heat=1, recipe=tmp_path / "none"), "oven")
    assert found.kind.startswith("[oven] recipe names")
    assert not list(missing_paths(Oven(heat=1, recipe=tmp_path), "oven"))
    assert not list(missing_paths(Oven(heat=1), "oven"))
