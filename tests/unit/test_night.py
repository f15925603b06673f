"""A run's exit code tells the truth about what it leaves."""

import pytest

from db.records import Balance, Reason
from worker.local import RunResult
from worker.night import exit_code


def _result(
    *, failed: int = 0, waiting: int = 0, reason: str = "", interrupted: bool = False, stopped_by: str = ""
) -> RunResult:
    reasons = (Reason(state="waiting", reason=reason, count=waiting),) if reason else ()
    return RunResult(
        balance=Balance(
            objects={"converted": 5, "skipped": 0, "failed": failed, "waiting": waiting},
            studies={"reported": 5, "skipped": 0, "failed": 0, "waiting": waiting, "working": 0},
            object_reasons=reasons,
            study_reasons=(),
        ),
        settled=5,
        seconds=1.0,
        throughput=(),
        interrupted=interrupted,
        stopped_by=stopped_by,
    )


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (_result(), 0),
        (_result(waiting=3), 0),  # a limit was asked for
        (_result(waiting=3, reason="the bucket did not answer"), 1),
        (_result(failed=1), 1),
        (_result(stopped_by="no space left"), 1),
        (_result(failed=1, interrupted=True), 130),
    ],
)
def test_the_exit_code(result: RunResult, code: int) -> None:
    assert exit_code(result) == code
