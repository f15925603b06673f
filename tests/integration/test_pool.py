"""Converting processes die as real processes do: the object in hand is known, and its neighbours go on."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from db.records import ObjectState, ObjectWork
from pipeline.bucket import open_bucket
from pipeline.errors import Unavailable
from pipeline.study import Preprocessing
from tests.archives import write_studies
from tests.handed_work import collect, work_on
from worker.converter import ConverterSpec
from worker.pool import ConverterPool
from worker.triage import Triage


@pytest.fixture
def spec(tmp_path: Path) -> ConverterSpec:
    write_studies(tmp_path / "archive", 4)
    (tmp_path / "views").mkdir()
    return ConverterSpec(
        source=str(tmp_path / "archive"),
        views=str(tmp_path / "views"),
        preprocessing=Preprocessing(height=64, width=64, fit="squash"),
        pseudonym_key=b"test",
        triage=Triage(),
        takes_indication=True,
        object_seconds=10,
        object_memory=800_000_000,
    )


@pytest.fixture
def pool(spec: ConverterSpec) -> Iterator[ConverterPool]:
    pool = ConverterPool(spec, processes=1, depth=8)
    yield pool
    pool.close()


def _work(spec: ConverterSpec, attempts: int = 0) -> list[ObjectWork]:
    bucket = open_bucket(spec.source)
    return [work_on(bucket, ref, object_id=number, attempts=attempts) for number, ref in enumerate(bucket.list())]


def _end_with(pool: ConverterPool, number: signal.Signals, work: list[ObjectWork]) -> None:
    """Give work to a stopped process, then end it: the first object is in its hand."""
    pool.collect(timeout=60)  # it says that it is ready
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    pool.submit(work)
    os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)


def test_every_object_has_one_outcome(pool: ConverterPool, spec: ConverterSpec) -> None:
    work = _work(spec)
    assert pool.room == 8
    pool.submit(work)
    outcomes = collect(pool, seconds=60)
    assert {outcome.state for outcome in outcomes.values()} == {ObjectState.CONVERTED}
    assert len(outcomes) == len(work) == 8


def test_a_killed_process_is_replaced_and_its_object_tried_again(pool: ConverterPool, spec: ConverterSpec) -> None:
    _end_with(pool, signal.SIGKILL, _work(spec))
    outcomes = collect(pool, seconds=60)
    assert outcomes[0].state is ObjectState.PENDING
    assert outcomes[0].reason == "the converting process ended with SIGKILL"
    assert {outcomes[number].state for number in range(1, 8)} == {ObjectState.CONVERTED}


def test_work_given_to_a_process_that_dies_before_it_is_ready_goes_to_the_next(
    pool: ConverterPool, spec: ConverterSpec
) -> None:
    pool.submit(_work(spec))
    os.kill(pool.pids[0], signal.SIGKILL)
    outcomes = collect(pool, seconds=60)
    assert {outcome.state for outcome in outcomes.values()} == {ObjectState.CONVERTED}
    assert len(outcomes) == 8


def test_processes_that_cannot_start_blame_no_object(spec: ConverterSpec) -> None:
    pool = ConverterPool(replace(spec, source=f"{spec.source}-gone"), processes=1, depth=8)
    try:
        pool.submit(_work(spec))
        assert pool.collect(timeout=60) == []
        with pytest.raises(Unavailable, match="end before any work"):
            pool.collect(timeout=60)
    finally:
        pool.close()


def test_an_object_that_kills_twice_fails(pool: ConverterPool, spec: ConverterSpec) -> None:
    _end_with(pool, signal.SIGSEGV, _work(spec, attempts=1)[:1])
    outcome = collect(pool, seconds=60)[0]
    assert outcome.state is ObjectState.FAILED
    assert outcome.reason == "converting it ended its process 2 times, at last with SIGSEGV"


def test_an_object_over_its_cpu_time_fails_at_once(pool: ConverterPool, spec: ConverterSpec) -> None:
    _end_with(pool, signal.SIGXCPU, _work(spec)[:1])
    outcome = collect(pool, seconds=60)[0]
    assert outcome.state is ObjectState.FAILED
    assert outcome.reason == "converting it took more than 10 s of CPU time; it was given up"


def test_a_pool_that_is_refitted_makes_other_views_of_what_comes_next(
    spec: ConverterSpec, pool: ConverterPool
) -> None:
    first, *rest = _work(spec)
    pool.submit([first])
    pool.refit(Preprocessing(height=48, width=48, fit="squash"))
    pool.submit(rest)
    assert {outcome.state for outcome in collect(pool, seconds=60).values()} == {ObjectState.CONVERTED}
    made = [path.relative_to(spec.views).parts[0] for path in Path(spec.views).rglob("*.png")]
    assert {kind: made.count(kind) for kind in made} == {
        "v2-64x64-squash-bilinear": 1,
        "v2-48x48-squash-bilinear": len(rest),
    }
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    for _ in range(2):  # the first time it dies of it
        pool.submit([first])
        collect(pool, seconds=60)
    assert len(list(Path(spec.views).glob("v2-48x48*/*/*.png"))) == len(rest) + 1  # its successor is refitted, too
