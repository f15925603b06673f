"""Whether every study that was sent ended once: with one report or a reason; none lost, none doubled."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.arrivals import VIEWS, state_of, uid_of
from tests.fleet import Fleet

# One row for each study: how it stands, its current reports, and the objects that its newest revision is made of.
STUDIES = """
SELECT s.study_instance_uid, s.state, s.reason,
       (SELECT count(*) FROM report r WHERE r.study_id = s.study_id AND r.status <> 'superseded'),
       (SELECT count(*) FROM revision_instance i WHERE i.revision_id = s.revision_id)
FROM study_status s
"""
# Reports that say the same of the same: one revision and model twice, or one study twice from equal inputs.
DOUBLED = """
WITH seen AS (
  SELECT r.id, r.study_id, r.revision_id, r.model_version_id,
         (SELECT string_agg(i.instance_id::text, ',' ORDER BY i.instance_id) FROM report_input i
          WHERE i.report_id = r.id) AS inputs
  FROM report r
)
SELECT count(*) FROM seen a JOIN seen b ON a.id < b.id AND a.study_id = b.study_id
 AND a.model_version_id = b.model_version_id AND (a.revision_id = b.revision_id OR a.inputs = b.inputs)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of the studies that were sent."""

    lost: tuple[str, ...]  # one line for each study that did not end as it must
    doubled: int
    superseded: int

    @property
    def clean(self) -> bool:
        """Whether all is well."""
        return not self.lost and not self.doubled


def judge(fleet: Fleet, numbers: Sequence[int]) -> Verdict:
    """Compare what was sent with what is in the ledger."""
    found = {uid: tuple(facts) for uid, *facts in fleet.query(STUDIES)}
    lost = [f"{number}: {found.get(uid_of(number))}" for number in numbers if not ended(number, found)]
    strangers = found.keys() - {uid_of(number) for number in numbers}
    objects = fleet.query("SELECT count(*) FROM object")[0][0]
    more_than_sent = max(0, objects - len(numbers) * len(VIEWS)) + len(strangers)
    return Verdict(
        lost=tuple(lost),
        doubled=fleet.query(DOUBLED)[0][0] + more_than_sent + sum(1 for facts in found.values() if facts[2] > 1),
        superseded=fleet.query("SELECT count(*) FROM report WHERE status = 'superseded'")[0][0],
    )


def ended(number: int, found: dict[str, tuple[object, ...]]) -> bool:
    """Whether a study has its one report from both views, or its reason."""
    state, reason, reports, inputs = found.get(uid_of(number), ("", "", 0, 0))
    if state != state_of(number) or inputs != len(VIEWS):
        return False
    return reports == 1 if state == "reported" else reports == 0 and bool(reason)


def all_ended(fleet: Fleet, numbers: Sequence[int]) -> bool:
    """Whether there is nothing left to wait for."""
    found = {uid: tuple(facts) for uid, *facts in fleet.query(STUDIES)}
    return all(ended(number, found) for number in numbers)
