"""What the ledger tells people: sums that add up, failures with reasons, pages in few queries; on any engine."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from db import analyst, schema
from db.engine import open_engine
from db.entries import Failure, StudyCounts, StudyEntry
from db.errors import ModelConflict, SchemaMismatch, SettingConflict
from db.records import ObjectState, Reason, RevisionOutcome, RevisionState
from tests.conformance.ledger_world import (
    DECODING,
    OWNER,
    World,
    converted,
    digest,
    model_fact,
    refused,
    reported,
    run_fact,
)


def fill(world: World) -> None:
    """Studies 1 to 3 reported, skipped and failed by the model, 4 broken, 5 leased, 6 not released; and junk."""
    world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"])
    broken, junk, stray = world.arrive("s4/a", "junk", "s4/sr")
    world.ledger.settle_objects(
        [
            refused(broken, ObjectState.FAILED, "truncated", "s4"),
            refused(junk, ObjectState.SKIPPED, "no DICOM"),
            refused(stray, ObjectState.SKIPPED, "SR is no image", "s4"),
        ],
        owner=OWNER,
    )
    world.release()
    first, second, third = world.take()
    world.settle(
        reported(first),
        RevisionOutcome(revision_id=second.revision_id, state=RevisionState.SKIPPED, reason="HIP is not for us"),
        RevisionOutcome(revision_id=third.revision_id, state=RevisionState.FAILED, reason="out of memory"),
    )
    world.convert(s5=["s5/a"])
    world.release()
    world.take()
    five, _ = world.arrive("s6/a", "s6/b")
    world.ledger.settle_objects([converted(five, "s6")], owner=OWNER)


class AccountTests:
    """Counts, failures, retries."""

    def test_nothing_is_counted_in_an_empty_ledger(self, world: World) -> None:
        balance = world.ledger.balance()
        assert set(balance.objects.values()) == {0}
        assert set(balance.studies.values()) == {0}
        assert world.ledger.counts() == StudyCounts(known=0, reported=0, skipped=0, failed=0, waiting=0)

    def test_the_balance_adds_up(self, world: World) -> None:
        fill(world)
        balance = world.ledger.balance()
        assert balance.objects == {"converted": 5, "skipped": 2, "failed": 1, "waiting": 1}
        assert balance.studies == {"reported": 1, "skipped": 1, "failed": 2, "waiting": 1, "working": 1}
        assert balance.object_reasons == (
            Reason(state="failed", reason="truncated", count=1),
            Reason(state="skipped", reason="SR is no image", count=1),
            Reason(state="skipped", reason="no DICOM", count=1),
        )
        assert [(item.state, item.reason) for item in balance.study_reasons] == [
            ("failed", "no usable image: truncated; SR is no image"),
            ("failed", "out of memory"),
            ("skipped", "HIP is not for us"),
        ]
        assert world.ledger.counts() == StudyCounts(known=6, reported=1, skipped=1, failed=2, waiting=2)

    def test_failures_name_the_thing_and_the_reason(self, world: World) -> None:
        fill(world)
        failures = world.ledger.failures(10)
        assert [(item.kind, item.key, item.reason) for item in failures] == [
            ("study", "", "out of memory"),
            ("study", "", "no usable image: truncated; SR is no image"),
            ("object", "s4/a", "truncated"),
        ]
        assert world.ledger.failures(1) == failures[:1]
        assert isinstance(failures[0], Failure)

    def test_retry_puts_what_can_succeed_back_to_work(self, world: World) -> None:
        fill(world)
        assert world.ledger.retry(what="studies", actor="ann") == 1  # the broken one has no image to work on
        assert [work.attempts for work in world.take()] == [0]
        assert world.ledger.retry(what="all") == 1
        (work,) = [item for item in world.claim() if item.key == "s4/a"]
        world.ledger.settle_objects([converted(work, "s4")], owner=OWNER)
        assert world.release() == 1
        world.report_all()
        assert world.rows("SELECT state FROM study_status WHERE study_instance_uid = 's4'") == [("reported",)]
        assert world.rows("SELECT actor, entity FROM audit_event WHERE action = 'retry' ORDER BY id") == [
            ("ann", "study_revision"),
            ("operator", "object"),
        ]
        assert world.ledger.retry(what="all") == 0

    def test_skipped_objects_are_judged_anew_when_somebody_asks(self, world: World) -> None:
        fill(world)
        assert world.ledger.retry(what="skipped") == 2
        assert world.ledger.balance().objects == {"converted": 5, "skipped": 0, "failed": 1, "waiting": 3}

    def test_how_an_instance_stands_comes_back_as_it_was_kept(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (work,) = world.take()
        assert [one.standing for one in work.instances] == [{"beam": "PA", "models": ["champion"]}]
        assert world.rows("SELECT projection_confidence FROM instance") == [(0.93,)]


class PageTests:
    """The run page's rows."""

    def test_every_study_once_failures_first_and_the_newest_of_each_kind(self, world: World) -> None:
        fill(world)
        entries = list(world.ledger.study_entries(batch_size=1))
        told = [(entry.study_instance_uid, entry.state) for entry in entries]
        assert told == [
            ("s4", "failed"),
            ("s3", "failed"),
            ("s2", "skipped"),
            ("s5", "waiting"),
            ("s6", "waiting"),
            ("s1", "reported"),
        ]
        assert list(world.ledger.study_entries(section="waiting")) == entries[3:5]
        assert list(world.ledger.study_entries(limit=2)) == entries[:2]

    def test_a_reported_study_shows_its_report_and_inputs(self, world: World) -> None:
        fill(world)
        (entry,) = [item for item in world.ledger.study_entries() if item.state == "reported"]
        assert entry.report is not None
        assert entry.report.model_name == "starter"
        assert entry.report.weights_sha256 == digest("weights")
        assert entry.report.created_at.tzinfo is not None
        (used,) = entry.inputs
        assert (used.key, used.used, used.reason, used.state) == ("s1/a", True, "frontal", "converted")

    def test_a_broken_study_shows_its_objects(self, world: World) -> None:
        fill(world)
        (entry,) = [item for item in world.ledger.study_entries() if item.study_instance_uid == "s4"]
        assert entry.report is None
        assert [(item.key, item.used, item.reason) for item in entry.inputs] == [
            ("s4/a", False, "truncated"),
            ("s4/sr", False, "SR is no image"),
        ]

    def test_a_late_image_keeps_one_row_with_the_current_report(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.report_all()
        world.convert(s1=["s1/b"])
        world.release()
        (entry,) = world.ledger.study_entries()
        assert entry.state == "waiting"
        assert entry.report is not None
        assert entry.report.revision_id != entry.revision_id
        world.report_all()
        (entry,) = world.ledger.study_entries()
        assert [item.used for item in entry.inputs] == [True, True]


class QueryCountTests:
    """The price of each path is a constant."""

    @pytest.mark.parametrize("studies", [1, 20])
    def test_statements_do_not_grow_with_the_rows(self, world: World, studies: int) -> None:
        keys = {f"s{number}": [f"s{number}/a", f"s{number}/b"] for number in range(studies)}
        with world.statements() as sent:
            works = world.arrive(*(key for group in keys.values() for key in group))
        assert len(sent) == 3  # which are known, the others, the claim
        with world.statements() as sent:
            world.ledger.settle_objects([converted(work, work.key[:-2]) for work in works], owner=OWNER)
        assert len(sent) == 4
        with world.statements() as sent:
            world.release()
        assert len(sent) == 9
        with world.statements() as sent:
            revisions = world.take()
        assert len(sent) == 3
        with world.statements() as sent:
            world.settle(*(reported(work) for work in revisions))
        assert len(sent) == 10
        with world.statements() as sent:
            entries: list[StudyEntry] = list(world.ledger.study_entries())
        assert len(entries) == studies
        assert len(sent) == 5 + 2  # one for each state; inputs and findings of the one that has studies
        with world.statements() as sent:
            world.ledger.counts()
        assert len(sent) == 2
        with world.statements() as sent:
            world.ledger.balance()
        assert len(sent) == 6


class RegistryTests:
    """Models and settings."""

    def test_a_model_is_registered_once(self, world: World) -> None:
        assert world.registry.register_model(model_fact()) == world.model_version_id
        assert world.registry.register_model(model_fact(version="2")) != world.model_version_id

    def test_other_weights_under_a_known_version_are_refused(self, world: World) -> None:
        with pytest.raises(ModelConflict, match=r"'starter' version '1' .* weights_sha256 .* new version"):
            world.registry.register_model(model_fact(weights="changed"))

    def test_a_run_is_started_and_finished(self, world: World) -> None:
        run_id = world.registry.start_run(run_fact(world.model_version_id))
        assert run_id != world.run_id
        world.registry.finish_run(run_id, studies=3, timings={"caption": 1.5})
        finished = world.rows(
            "SELECT id, studies, decoding_sha256 FROM inference_run WHERE finished_at IS NOT NULL"
        )
        assert finished == [(run_id, 3, DECODING)]

    def test_a_pinned_value_stays(self, world: World) -> None:
        world.registry.pin("pseudonym key", "abc")
        world.registry.pin("pseudonym key", "abc")
        with pytest.raises(SettingConflict, match="'abc', not 'xyz'"):
            world.registry.pin("pseudonym key", "xyz")


class ViewTests:
    """What analysts are promised."""

    def test_the_views_have_their_columns(self, world: World) -> None:
        fill(world)
        for name, columns in analyst.VIEWS.items():
            assert world.rows(f"SELECT {', '.join(columns)} FROM {name}") or name == "shadow_report"

    def test_the_latest_report_says_that_it_is_a_draft(self, world: World) -> None:
        fill(world)
        query = "SELECT study_instance_uid, status, notice, input_count FROM latest_report"
        assert world.rows(query) == [("s1", "draft", "DRAFT - for review by a radiologist", 1)]

    def test_the_provenance_names_bytes_weights_and_code(self, world: World) -> None:
        fill(world)
        query = "SELECT bucket, key, etag, sha256, used, weights_sha256, code_version FROM report_provenance"
        (row,) = world.rows(query)
        assert row == ("archive", "s1/a", "e1", digest("s1.s1/a"), 1, digest("weights"), "0.1.0+abc")


class SchemaTests:
    """Versions of the schema."""

    def test_an_upgraded_database_is_what_the_program_expects(self, world: World) -> None:
        assert schema.current(world.engine) == schema.head()
        assert schema.check(world.engine) == []
        schema.upgrade(world.engine)
        schema.require_current(world.engine, upgrade_empty=False)

    def test_check_names_what_differs(self, spare_engine: Engine) -> None:
        with spare_engine.begin() as connection:
            connection.exec_driver_sql("DROP VIEW latest_report")
            connection.exec_driver_sql("DROP INDEX ix_finding_label")
            connection.exec_driver_sql("CREATE TABLE foreign_table (id int)")
        told = schema.check(spare_engine)
        assert len(told) == 3
        assert "view latest_report is missing" in told
        assert any("ix_finding_label" in line for line in told)

    def test_another_version_is_refused_with_the_remedy(self, spare_engine: Engine) -> None:
        for version, remedy in (("0001", "run `nightread db upgrade`"), ("9999", "update nightread")):
            with spare_engine.begin() as connection:
                connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
            with pytest.raises(SchemaMismatch, match=remedy):
                schema.require_current(spare_engine, upgrade_empty=True)

    def test_two_upgrades_at_once_do_it_once(self, empty_url: str) -> None:
        def upgrade(_: int) -> str | None:
            engine = open_engine(empty_url)
            try:
                schema.require_current(engine, upgrade_empty=True)
                return schema.current(engine)
            finally:
                engine.dispose()

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(upgrade, range(2))) == [schema.head()] * 2

    def test_an_empty_database_is_upgraded_only_when_wanted(self, empty_url: str) -> None:
        engine = open_engine(empty_url)
        try:
            assert schema.is_empty(engine)
            with pytest.raises(SchemaMismatch, match="is empty; run `nightread db upgrade`"):
                schema.require_current(engine, upgrade_empty=False)
            with engine.begin() as connection:
                connection.exec_driver_sql("CREATE TABLE somebody_elses (id int)")
            with pytest.raises(SchemaMismatch, match="none of Nightread's"):
                schema.require_current(engine, upgrade_empty=True)
        finally:
            engine.dispose()
