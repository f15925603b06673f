"""What the ledger promises of indication, age and sex: told at the claim, the text erased with the outcome."""

from dataclasses import replace

import pytest

from db.ledger import Ledger
from db.records import (
    NO_IMAGE,
    BackgroundFact,
    ObjectOutcome,
    ObjectState,
    ObjectWork,
    RevisionOutcome,
    RevisionState,
    RevisionWork,
)
from tests.conformance.ledger_world import (
    BUCKET,
    OWNER,
    World,
    converted,
    listed,
    report_fact,
    reported,
    study_fact,
)

COUGH = BackgroundFact(indication="cough", age=63.0, sex="F")


def _told(
    work: ObjectWork, background: BackgroundFact, uid: str = "s1", content: str | None = None
) -> ObjectOutcome:
    """The object became a view, and its header tells this."""
    outcome = converted(work, uid, content=content)
    assert outcome.instance
    return replace(outcome, instance=replace(outcome.instance, background=background))


def _sidecar(work: ObjectWork, background: BackgroundFact, uid: str = "s1") -> ObjectOutcome:
    return ObjectOutcome(
        object_id=work.object_id,
        state=ObjectState.SKIPPED,
        reason="a sidecar",
        study=study_fact(uid, modality=""),
        instance=replace(NO_IMAGE, background=background),
    )


def _settle(world: World, *outcomes: ObjectOutcome) -> None:
    world.ledger.settle_objects(outcomes, owner=OWNER)


def _released(world: World, **told: BackgroundFact) -> RevisionWork:
    """One study of an image for each background, claimed."""
    works = world.arrive(*(f"s1/{name}" for name in told))
    _settle(world, *(_told(work, told[work.key.rpartition("/")[2]]) for work in works))
    world.release()
    (claimed,) = world.take()
    return claimed


def _texts(world: World) -> list[str]:
    return [text for (text,) in world.rows("SELECT indication FROM instance ORDER BY id")]


def _ended(work: RevisionWork, state: RevisionState) -> RevisionOutcome:
    return RevisionOutcome(revision_id=work.revision_id, state=state, reason="so")


class BackgroundTests:
    """From headers and sidecars to the model."""

    def test_a_claim_tells_what_the_header_told(self, world: World) -> None:
        assert _released(world, a=COUGH).background == COUGH

    def test_nothing_told_is_nothing_known(self, world: World) -> None:
        assert _released(world, a=BackgroundFact()).background == BackgroundFact()

    def test_each_field_is_the_newest_that_is_told(self, world: World) -> None:
        claimed = _released(
            world,
            a=BackgroundFact(indication="old", age=60.0, sex="M"),
            b=BackgroundFact(indication="new", age=0.0),
            c=BackgroundFact(),
        )
        assert claimed.background == BackgroundFact(indication="new", age=0.0, sex="M")

    @pytest.mark.parametrize("first", ["s1/a.json", "s1/z.json"])
    def test_a_sidecar_is_believed_first_whenever_it_came(self, world: World, first: str) -> None:
        side, image = BackgroundFact(indication="fall"), ("s1/PA", COUGH)
        for key in sorted([first, image[0]]):
            (work,) = world.arrive(key)
            _settle(world, _told(work, image[1]) if key == image[0] else _sidecar(work, side))
        world.release()
        (claimed,) = world.take()
        assert claimed.background == replace(COUGH, indication="fall")
        assert [item.key for item in claimed.instances] == ["s1/PA"]

    def test_the_newest_sidecar_is_believed(self, world: World) -> None:
        first, second, image = world.arrive("s1/1.json", "s1/2.json", "s1/PA")
        _settle(world, _told(image, BackgroundFact()))
        for work, text in ((second, "b"), (first, "a")):
            _settle(world, _sidecar(work, BackgroundFact(indication=text)))
        world.release()
        assert [work.background.indication for work in world.take()] == ["b"]

    def test_a_sidecar_without_images_is_a_study_that_is_skipped(self, world: World) -> None:
        (work,) = world.arrive("s1/background.json")
        _settle(world, _sidecar(work, COUGH))
        world.release()
        assert world.rows("SELECT state, reason FROM study_status") == [("skipped", "a sidecar")]
        (image,) = world.arrive("s1/PA")
        _settle(world, _told(image, BackgroundFact()))
        world.release()
        assert [work.background for work in world.take()] == [COUGH]

    def test_a_report_keeps_what_its_model_was_told(self, world: World) -> None:
        claimed = _released(world, a=COUGH)
        report = replace(report_fact(claimed), background={"age": 63.0})
        world.settle(RevisionOutcome(revision_id=claimed.revision_id, state=RevisionState.REPORTED, report=report))
        assert world.one("SELECT background FROM report") in ('{"age": 63.0}', {"age": 63.0})


class ForgettingTests:
    """A text stays as long as it is needed."""

    @pytest.mark.parametrize("state", [RevisionState.REPORTED, RevisionState.SKIPPED])
    def test_a_done_study_has_no_text_left(self, world: World, state: RevisionState) -> None:
        claimed = _released(world, a=COUGH, b=COUGH)
        assert _texts(world) == ["cough", "cough"]
        is_reported = state is RevisionState.REPORTED
        world.settle(reported(claimed) if is_reported else _ended(claimed, state))
        assert _texts(world) == ["", ""]
        assert world.rows("SELECT DISTINCT age, sex FROM instance") == [(63.0, "F")]

    @pytest.mark.parametrize("state", [RevisionState.WAITING, RevisionState.FAILED])
    def test_a_study_that_may_be_tried_again_keeps_its_text(self, world: World, state: RevisionState) -> None:
        claimed = _released(world, a=COUGH)
        world.settle(_ended(claimed, state))
        assert _texts(world) == ["cough"]
        world.ledger.retry(what="studies")
        (again,) = world.take()
        assert again.background == COUGH
        world.settle(reported(again))
        assert _texts(world) == [""]

    def test_a_text_that_came_meanwhile_stays_for_its_own_revision(self, world: World) -> None:
        claimed = _released(world, a=COUGH)
        (late,) = world.arrive("s1/late")
        _settle(world, _told(late, replace(COUGH, indication="fever")))
        world.settle(reported(claimed))
        assert _texts(world) == ["cough", "fever"]
        world.release()
        (second,) = world.take()
        assert second.background.indication == "fever"
        world.settle(reported(second))
        assert _texts(world) == ["", ""]

    def test_a_late_sidecar_changes_no_report_and_is_forgotten(self, world: World) -> None:
        world.settle(reported(_released(world, a=COUGH)))
        (side,) = world.arrive("s1/background.json")
        _settle(world, _sidecar(side, BackgroundFact(indication="fall")))
        assert _texts(world) == ["", "fall"]
        assert world.release() == 0
        assert _texts(world) == ["", ""]
        assert world.one("SELECT count(*) FROM report") == 1

    def test_a_replaced_image_has_its_text_erased_too(self, world: World) -> None:
        claimed = _released(world, a=COUGH)
        world.ledger.free_leases(OWNER)
        world.ledger.record_objects(BUCKET, [listed("s1/a", etag="e2")])
        (again,) = world.claim()
        _settle(world, _told(again, COUGH, content="changed"))
        world.release()
        (second,) = world.take()
        assert second.revision_id != claimed.revision_id
        world.settle(reported(second))
        assert _texts(world) == ["", ""]

    def test_other_studies_are_left_alone(self, world: World) -> None:
        claimed = _released(world, a=COUGH)
        (other,) = world.arrive("s2/a")
        _settle(world, _told(other, COUGH, "s2"))
        world.release()
        world.settle(reported(claimed))
        assert _texts(world) == ["", "cough"]

    def test_a_site_may_keep_the_texts(self, world: World) -> None:
        keeping = replace(world, ledger=Ledger(world.engine, keeps_indications=True))
        keeping.settle(reported(_released(keeping, a=COUGH)))
        assert _texts(world) == ["cough"]
