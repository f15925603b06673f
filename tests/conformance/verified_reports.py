"""What a person stands for, as the ledger tells it. For every engine."""

from sqlalchemy import insert, update

from db.engine import writing
from db.report_tables import Correction, Report
from db.tables import Instance, Study
from db.verified import VerifiedReport, verified_reports
from tests.conformance.ledger_world import World, digest


def mark(world: World, uid: str, status: str, *corrections: str) -> None:
    """A person verifies, corrects or rejects a study's current report."""
    report = world.one(
        "SELECT r.id FROM report r JOIN study s ON s.id = r.study_id "
        f"WHERE s.study_instance_uid = '{uid}' AND r.status <> 'superseded'"
    )
    with writing(world.engine) as connection:
        connection.execute(update(Report).where(Report.id == report).values(status=status))
        for findings in corrections:
            fact = {"author": "r", "findings": findings, "impression": "Better.", "reason": ""}
            connection.execute(insert(Correction).values(report_id=report, **fact))


def found(world: World) -> dict[str, VerifiedReport]:
    """By the study's UID."""
    names = dict(world.rows("SELECT id, study_instance_uid FROM study"))
    return {names[report.study_id]: report for report in verified_reports(world.engine)}


class VerifiedTests:
    """Whose text, about which images."""

    def test_only_what_a_person_stands_for_is_told(self, world: World) -> None:
        world.convert(draft=["d/a"], good=["g/a", "g/b"], better=["b/a"], bad=["x/a"], odd=["o/a"])
        with writing(world.engine) as connection:
            connection.execute(
                update(Instance).where(Instance.sop_instance_uid == "better.b/a").values(age=63, sex="F")
            )
        world.release()
        world.report_all()
        mark(world, "good", "verified")
        mark(world, "better", "corrected", "First.", "Second.")
        mark(world, "bad", "rejected", "Never.")
        mark(world, "odd", "corrected")
        reports = found(world)
        assert set(reports) == {"good", "better"}
        assert reports["good"].findings == "The lungs are clear."
        assert (reports["better"].findings, reports["better"].impression) == ("Second.", "Better.")
        assert (reports["better"].background.age, reports["better"].background.sex) == (63, "F")
        assert reports["good"].inputs == (
            ("frontal", digest("good.g/a")),
            ("frontal", digest("good.g/b")),
        )

    def test_what_was_verified_stays_so_when_a_later_report_takes_its_place(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"])
        world.release()
        world.report_all()
        mark(world, "s1", "verified")
        mark(world, "s2", "corrected", "Mine.")
        world.convert(s1=["s1/b"], s2=["s2/b"], s3=["s3/b"])
        world.release()
        world.report_all()
        reports = found(world)
        assert set(reports) == {"s1", "s2"}
        assert reports["s2"].findings == "Mine."
        assert len(reports["s1"].inputs) == 1
        mark(world, "s1", "corrected", "Newest.")
        assert found(world)["s1"].findings == "Newest."
        assert len(found(world)["s1"].inputs) == 2

    def test_a_patient_is_told_by_the_first_study_of_theirs(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"])
        with writing(world.engine) as connection:
            connection.execute(update(Study).where(Study.study_instance_uid == "s3").values(patient_id=""))
        world.release()
        world.report_all()
        for uid in ("s2", "s3"):
            mark(world, uid, "verified")
        ids = dict(world.rows("SELECT study_instance_uid, id FROM study"))
        assert {uid: report.patient for uid, report in found(world).items()} == {"s2": ids["s1"], "s3": ids["s3"]}
