"""Versions that are judged, promoted and taken back, reports of one on trial; on any engine."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from db import backfills
from db.backfills import Selection
from db.engine import writing
from db.errors import ChampionChanged, ProvenanceMissing
from db.feeding import feed
from db.pace import Pace
from db.records import InputFact, RevisionOutcome, RevisionState, RevisionWork
from db.versions import Judgement, Versions
from tests.conformance.ledger_world import DECODING, OWNER, World, model_fact, report_fact, reported, run_fact


def judgement(*, passed: bool = True) -> Judgement:
    """How a candidate did."""
    return Judgement(
        criteria="split = 'val'",
        criteria_sha256="c" * 64,
        passed=passed,
        lines=({"criterion": "CIDEr above 1", "figure": 0.5, "limit": 1.0, "passed": passed, "note": ""},),
        figures={"candidate": {"values": {"CIDEr": 0.5}}, "champion": None},
    )


def other_model(world: World, version: str = "2") -> World:
    """The same world with another model version at work."""
    model = world.registry.register_model(model_fact(version=version, weights=f"weights {version}"))
    return replace(world, model_version_id=model, run_id=world.registry.start_run(run_fact(model)))


def crowned(world: World) -> Versions:
    """The versions, the world's own being the champion."""
    versions = Versions(world.engine)
    versions.adopt(world.model_version_id, actor="run:1", reason="the first")
    return versions


def current(world: World) -> list[tuple[str, str]]:
    """The current report of each study, and whose it is."""
    return [
        (findings, version)
        for findings, version in world.rows(
            "SELECT findings, model_version FROM latest_report ORDER BY study_instance_uid"
        )
    ]


class VersionTests:
    """Aliases, verdicts and their history."""

    def test_the_first_champion_is_adopted_once(self, world: World) -> None:
        versions = Versions(world.engine)
        assert versions.aliases() == {}
        assert versions.adopt(world.model_version_id, actor="a", reason="first") == world.model_version_id
        second = other_model(world).model_version_id
        assert versions.adopt(second, actor="b", reason="late") == world.model_version_id
        assert versions.aliases() == {"champion": world.model_version_id}
        assert world.one("SELECT count(*) FROM model_alias") == 1

    def test_a_promotion_moves_the_champion_to_previous_and_keeps_the_verdict(self, world: World) -> None:
        versions, second = crowned(world), other_model(world).model_version_id
        versions.set_shadow(second, actor="ann", reason="on trial")
        versions.promote(second, judgement(), champion_id=world.model_version_id, actor="ann")
        assert versions.aliases() == {"champion": second, "previous": world.model_version_id}
        (entry,) = versions.judgements(second)
        assert (entry.passed, entry.promoted, entry.champion_id, entry.actor) == (True, True, 1, "ann")
        assert entry.verdict["lines"][0]["criterion"] == "CIDEr above 1"
        assert entry.figures["candidate"] == {"values": {"CIDEr": 0.5}}
        assert versions.entry(second).aliases == ("champion",)
        assert world.rows("SELECT verdict FROM model_version ORDER BY id") == [("",), ("passed",)]

    def test_rollback_is_one_step_and_may_be_taken_back(self, world: World) -> None:
        versions, second = crowned(world), other_model(world).model_version_id
        assert versions.rollback(actor="ann", reason="nothing to go back to") is None
        versions.promote(second, judgement(), champion_id=world.model_version_id, actor="ann")
        assert versions.rollback(actor="ann", reason="it invents effusions") == (second, world.model_version_id)
        assert versions.aliases() == {"champion": world.model_version_id, "previous": second}
        versions.rollback(actor="ann", reason="it does not")
        assert versions.aliases() == {"champion": second, "previous": world.model_version_id}
        told = [
            (event.alias, event.model_version_id == second, event.reason) for event in versions.history(second)
        ]
        assert told == [
            ("champion", True, "it met the criteria"),
            ("champion", False, "it invents effusions"),
            ("previous", True, "it invents effusions"),
            ("champion", True, "it does not"),
            ("previous", False, "it does not"),
        ]

    def test_a_verdict_against_another_champion_changes_nothing(self, world: World) -> None:
        versions, second = crowned(world), other_model(world).model_version_id
        third = other_model(world, "3").model_version_id
        versions.promote(second, judgement(), champion_id=world.model_version_id, actor="ann")
        with pytest.raises(ChampionChanged, match="judge this one against it"):
            versions.promote(third, judgement(), champion_id=world.model_version_id, actor="bob")
        assert versions.aliases()["champion"] == second
        assert versions.judgements(third) == []

    def test_of_promotions_at_once_one_succeeds(self, world: World) -> None:
        versions = crowned(world)
        candidates = [other_model(world, str(number)).model_version_id for number in range(2, 6)]

        def promote(version_id: int) -> bool:
            try:
                versions.promote(version_id, judgement(), champion_id=world.model_version_id, actor="ann")
            except ChampionChanged:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(promote, candidates)) == 1
        assert world.one("SELECT count(*) FROM model_alias WHERE alias = 'champion'") == 2

    def test_what_did_not_pass_is_kept_with_its_figures(self, world: World) -> None:
        versions, second = crowned(world), other_model(world).model_version_id
        versions.keep(second, judgement(passed=False), champion_id=world.model_version_id, actor="schedule")
        (entry,) = versions.judgements(second)
        assert (entry.passed, entry.promoted) == (False, False)
        assert versions.aliases()["champion"] == world.model_version_id
        assert world.one("SELECT count(*) FROM audit_event WHERE action = 'model judged'") == 1

    def test_a_trial_begins_and_ends(self, world: World) -> None:
        versions, second = crowned(world), other_model(world).model_version_id
        versions.set_shadow(second, actor="ann", reason="on trial")
        versions.set_shadow(second, actor="ann", reason="again")
        assert versions.aliases()["shadow"] == second
        versions.set_shadow(None, actor="ann", reason="seen enough")
        assert "shadow" not in versions.aliases()
        assert [event.reason for event in versions.history(second)] == ["on trial", "seen enough"]

    def test_versions_are_found_by_name_and_their_figures_refreshed(self, world: World) -> None:
        versions = crowned(world)
        assert versions.named("starter", "9") is None
        entry = versions.named("starter", "1")
        assert entry is not None
        assert (entry.title, entry.aliases, entry.metrics) == ("starter@1", ("champion",), {"cider": 0.5})
        versions.refresh(entry.id, metrics={"val": {}}, actor="ann")
        assert [item.metrics for item in versions.entries()] == [{"val": {}}]

    def test_looking_at_the_aliases_is_one_statement(self, world: World) -> None:
        versions = crowned(world)
        with world.statements() as sent:
            versions.aliases()
        assert len(sent) == 1


class ShadowReportTests:
    """Reports of a model on trial."""

    def both(self, world: World) -> tuple[World, list[RevisionWork]]:
        """Two studies that the champion reported and the shadow then looked at; the shadow's world."""
        world.convert(s1=["s1/a"], s2=["s2/a"])
        world.release()
        works = world.take()
        world.settle(*(reported(work, findings="The champion's.") for work in works))
        shadow = other_model(world)
        assert self.follow(shadow, works) == 2
        return shadow, works

    def follow(self, shadow: World, works: list[RevisionWork]) -> int:
        return shadow.ledger.write_shadows(
            [reported(work, findings="The shadow's.") for work in works],
            owner=OWNER,
            run_id=shadow.run_id,
            model_version_id=shadow.model_version_id,
            decoding_sha256=DECODING,
        )

    def test_both_are_stored_and_only_the_champions_is_current(self, world: World) -> None:
        shadow, works = self.both(world)
        assert current(world) == [("The champion's.", "1")] * 2
        assert (
            world.rows("SELECT findings, current_findings FROM shadow_report ORDER BY report_id")
            == [("The shadow's.", "The champion's.")] * 2
        )
        assert {entry.report.findings for entry in world.ledger.study_entries() if entry.report} == {
            "The champion's."
        }
        assert world.rows("SELECT status, count(*) FROM report_provenance GROUP BY status ORDER BY status") == [
            ("draft", 2),
            ("shadow", 2),
        ]
        assert world.one("SELECT count(*) FROM finding") == 4
        assert self.follow(shadow, works) == 0

    def test_a_shadows_report_needs_its_inputs_too(self, world: World) -> None:
        shadow, works = self.both(world)
        alien = replace(report_fact(works[0]), inputs=(InputFact(instance_id=999, used=True, reason="frontal"),))
        outcome = RevisionOutcome(revision_id=works[0].revision_id, state=RevisionState.REPORTED, report=alien)
        third = other_model(world, "3")
        with pytest.raises(ProvenanceMissing, match="instance 999"):
            shadow.ledger.write_shadows(
                [outcome],
                owner=OWNER,
                run_id=third.run_id,
                model_version_id=third.model_version_id,
                decoding_sha256=DECODING,
            )

    def test_studies_that_a_shadow_saw_are_still_unseen_by_it(self, world: World) -> None:
        shadow, _ = self.both(world)
        assert self.fill(shadow) == 2

    def fill(self, world: World) -> int:
        """Back-fill everything for a model; how many studies it has not seen."""
        model, pace = world.model_version_id, Pace(per_hour=None, window=None)
        with writing(world.engine) as connection:
            backfills.start(connection, Selection(), model_version_id=model, pace=pace, actor="ann")
            return feed(connection, model_version_id=model, actor="beat:1").queued

    def test_a_shadow_that_became_champion_has_its_reports_made_current(self, world: World) -> None:
        shadow, _ = self.both(world)
        self.fill(shadow)
        shadow.settle(*(reported(work, findings="The shadow's.") for work in shadow.take()))
        assert current(world) == [("The shadow's.", "2")] * 2
        assert world.one("SELECT count(*) FROM shadow_report") == 0
        assert world.one("SELECT count(*) FROM report") == 4

    def test_a_champion_that_was_rolled_back_to_has_its_reports_made_current_again(self, world: World) -> None:
        shadow, _ = self.both(world)
        for at_work in (shadow, world):
            self.fill(at_work)
            at_work.settle(*(reported(work, findings="The champion's.") for work in at_work.take()))
        assert current(world) == [("The champion's.", "1")] * 2
        assert world.rows("SELECT status, count(*) FROM report GROUP BY status ORDER BY status") == [
            ("draft", 2),
            ("superseded", 2),
        ]
        assert world.one("SELECT count(*) FROM audit_event WHERE action = 'report current again'") == 4


class PersonsWordTests:
    """Reports that a person verified or corrected."""

    @pytest.mark.parametrize("status", ["verified", "corrected"])
    def test_no_draft_of_the_same_images_takes_its_place(self, world: World, status: str) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"])
        world.release()
        world.report_all()
        with writing(world.engine) as connection:
            connection.execute(text(f"UPDATE report SET status = '{status}' WHERE id = 1"))
        second = other_model(world)
        for at_work in (second, world, second):  # promoted, rolled back, promoted
            with writing(world.engine) as connection:
                backfills.start(
                    connection,
                    Selection(),
                    model_version_id=at_work.model_version_id,
                    pace=Pace(per_hour=None, window=None),
                    actor="ann",
                )
                feed(connection, model_version_id=at_work.model_version_id, actor="beat:1")
            at_work.report_all()
        told = "SELECT study_instance_uid, status, model_version FROM latest_report ORDER BY study_instance_uid"
        assert world.rows(told) == [("s1", status, "1"), ("s2", "draft", "2")]
        assert world.one("SELECT count(*) FROM report") == 4
        assert world.one("SELECT count(*) FROM study_revision WHERE model_version_id = 2") == 2

    def test_new_images_are_another_matter(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.report_all()
        with writing(world.engine) as connection:
            connection.execute(text("UPDATE report SET status = 'verified'"))
        world.convert(s1=["s1/b"])
        world.release()
        world.report_all()
        assert world.rows("SELECT status, input_count FROM latest_report") == [("draft", 2)]
