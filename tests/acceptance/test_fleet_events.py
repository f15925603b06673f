"""Bucket events that are lost, doubled and shuffled, and such that are all there is."""

import pytest

from tests.event_proxy import running_proxy
from tests.fleet import Fleet, wait_for
from tests.latency import measure_latency
from tests.verdict import all_ended, judge

STUDIES = range(40)


@pytest.mark.slow
def test_events_lost_doubled_and_shuffled_leave_no_trace(fleet: Fleet) -> None:
    fleet.env |= {"NIGHTREAD_SCAN_SECONDS": "5"}
    fleet.start("up")
    fleet.wait_for_queue()
    with running_proxy(fleet.site.rabbitmq.url, fleet.queue, seed=1) as proxy:
        fleet.arrivals.send_all(STUDIES)
        wait_for(lambda: all_ended(fleet, STUDIES), 120, "every study ended")
        wait_for(lambda: proxy.counts["taken"] >= 2 * len(STUDIES), 60, "every event was told")
    assert min(proxy.counts[fate] for fate in ("lost", "passed", "doubled")) > 0
    verdict = judge(fleet, STUDIES)
    assert verdict.clean, verdict


@pytest.mark.slow
def test_events_alone_bring_a_report_soon(fleet: Fleet) -> None:
    fleet.env |= {"NIGHTREAD_SCAN_SECONDS": "0"}
    fleet.start("up")
    fleet.bind()
    assert max(measure_latency(fleet, range(3))) < 30  # tests/benchmarks/latency.py has the figure
    wait_for(lambda: all_ended(fleet, range(3)), 60, "a view that came late has its study reported again")
    assert judge(fleet, range(3)).clean
