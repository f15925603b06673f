"""Many workers at once: no object and no study is worked on by two of them."""

import pytest

from tests.fleet import Fleet, wait_for
from tests.verdict import all_ended, judge
from tests.witness import install_witness

STUDIES = range(40)
INTAKES, CONVERTS, CAPTIONS = 2, 4, 2


@pytest.mark.slow
def test_no_study_is_worked_on_twice_at_the_same_time(fleet: Fleet) -> None:
    fleet.env |= {"NIGHTREAD_CHUNK_SIZE": "4", "NIGHTREAD_BATCH_SIZE": "2"}
    witness = install_witness(fleet)
    fleet.start("beat")
    for kind, count in (
        (("intake",), INTAKES),
        (("worker", "convert"), CONVERTS),
        (("worker", "caption"), CAPTIONS),
    ):
        for _ in range(count):
            fleet.start(*kind)
    fleet.bind()
    fleet.wait_for_workers(1 + INTAKES + CONVERTS + CAPTIONS)
    fleet.arrivals.send_all(STUDIES, seconds=15)
    wait_for(lambda: all_ended(fleet, STUDIES), 120, "every study ended")
    assert witness.overlaps() == []
    assert witness.settled_twice() == []
    assert len(witness.owners("object")) >= CONVERTS
    assert len(witness.owners("study_revision")) >= CAPTIONS
    assert judge(fleet, STUDIES).clean
    assert set(fleet.stop().values()) == {0}
