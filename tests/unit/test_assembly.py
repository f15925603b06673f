"""Which instance becomes which view, and that every other one is told why not."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.assembly import Assembly, Choice, assemble, refusal
from pipeline.manifest import Accepts
from pipeline.ranking import Candidate
from pipeline.study import VIEW_CLASSIFIER, Projection

STARTER = Accepts(modalities=("CR", "DX"), body_parts=("CHEST", ""), frontal="required", lateral="optional")
FRONTAL = Candidate(
    id=1,
    sop_instance_uid="1.1",
    projection=Projection.FRONTAL,
    projection_source="ViewPosition",
    rows=2000,
    columns=2000,
    body_part_examined="CHEST",
    modality="DX",
    last_modified=datetime(2024, 1, 1, tzinfo=UTC),
    sha256="aa",
)
LATERAL = replace(FRONTAL, id=2, sop_instance_uid="1.2", projection=Projection.LATERAL, sha256="bb")
LATER = datetime(2024, 1, 2, tzinfo=UTC)


def chosen(*candidates: Candidate, accepts: Accepts = STARTER) -> Assembly:
    """The assembly, which must not depend on the order of arrival."""
    results = {assemble(order, accepts, label="starter 1") for order in itertools.permutations(candidates)}
    assert len(results) == 1
    return results.pop()


def reasons(assembly: Assembly) -> dict[int, str]:
    return {choice.id: choice.reason for choice in assembly.choices if not choice.used}


def test_one_of_each_is_the_study() -> None:
    assembly = chosen(FRONTAL, LATERAL)
    assert assembly == Assembly(
        frontal=1,
        lateral=2,
        choices=(Choice(id=1, used=True, reason="frontal"), Choice(id=2, used=True, reason="lateral")),
    )


def test_the_larger_matrix_wins() -> None:
    small = replace(FRONTAL, id=3, sop_instance_uid="1.3", rows=1000, last_modified=LATER)
    assembly = chosen(FRONTAL, small)
    assert assembly.frontal == 1
    assert reasons(assembly) == {3: "a larger frontal view was chosen"}


def test_of_equal_sizes_the_later_wins_then_the_higher_id() -> None:
    later = replace(FRONTAL, id=3, sop_instance_uid="1.3", last_modified=LATER)
    twin = replace(later, id=4, sop_instance_uid="1.4")
    assert chosen(FRONTAL, later).frontal == 3
    assembly = chosen(FRONTAL, later, twin)
    assert assembly.frontal == 4
    assert set(reasons(assembly).values()) == {"a later frontal view of the same size was chosen"}


def test_the_same_bytes_again_change_nothing() -> None:
    again = replace(FRONTAL, id=5, last_modified=LATER)
    assembly = chosen(FRONTAL, again)
    assert assembly.frontal == 1
    assert reasons(assembly) == {5: "the same object again"}


def test_a_newer_version_of_an_instance_replaces_it() -> None:
    newer = replace(FRONTAL, id=5, sha256="cc", last_modified=LATER, rows=100)
    assembly = chosen(FRONTAL, newer)
    assert assembly.frontal == 5
    assert reasons(assembly) == {1: "replaced by a newer version of the same instance"}


def test_an_unknown_projection_stands_in_for_a_missing_frontal_and_says_so() -> None:
    unknown = replace(FRONTAL, projection=Projection.UNKNOWN, projection_source="")
    assembly = chosen(unknown, LATERAL)
    assert (assembly.frontal, assembly.lateral) == (1, 2)
    assert assembly.choices[0].reason == "frontal, taken for it: its projection is unknown"


def test_a_projection_that_the_pixels_told_says_so() -> None:
    seen = replace(FRONTAL, projection_source=VIEW_CLASSIFIER)
    assert chosen(seen).choices == (Choice(id=1, used=True, reason="frontal, by the look of it"),)


def test_an_unknown_projection_yields_to_a_frontal() -> None:
    unknown = replace(FRONTAL, id=9, sop_instance_uid="1.9", projection=Projection.UNKNOWN, rows=4000)
    assembly = chosen(FRONTAL, unknown)
    assert assembly.frontal == 1
    assert reasons(assembly) == {9: "projection unknown, and there is a frontal view"}


def test_another_body_part_is_not_used() -> None:
    hip = replace(FRONTAL, id=6, sop_instance_uid="1.6", body_part_examined="HIP", rows=4000)
    assembly = chosen(FRONTAL, hip)
    assert assembly.frontal == 1
    assert reasons(assembly) == {6: "HIP is not for starter 1"}
    assert refusal((FRONTAL, hip), assembly, STARTER, label="starter 1") is None


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ((), "no image for this model"),
        ((replace(FRONTAL, body_part_examined="HIP"),), "HIP is not for starter 1"),
        ((replace(FRONTAL, modality="RG"),), "Modality RG is not for starter 1"),
        ((LATERAL,), "starter 1 needs a frontal view; the study has 1 lateral"),
        ((FRONTAL,), None),
        ((replace(FRONTAL, body_part_examined="", projection=Projection.UNKNOWN),), None),
    ],
)
def test_a_study_that_the_model_does_not_accept_is_refused_by_name(
    candidates: tuple[Candidate, ...], reason: str | None
) -> None:
    assert refusal(candidates, chosen(*candidates), STARTER, label="starter 1") == reason


def test_an_unstated_body_part_is_refused_by_a_model_that_does_not_list_it() -> None:
    strict = replace(STARTER, body_parts=("CHEST",), lateral="required")
    unstated = replace(FRONTAL, body_part_examined="")
    assembly = chosen(unstated, accepts=strict)
    assert refusal((unstated,), assembly, strict, label="m 2") == "an unstated body part is not for m 2"
    both = chosen(FRONTAL, accepts=strict)
    assert refusal((FRONTAL,), both, strict, label="m 2") == "m 2 needs a lateral view; the study has 1 frontal"
