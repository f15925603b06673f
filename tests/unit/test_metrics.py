"""Every metric is in the table, in the ledger's gauges or with its own part, and says what to do."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Engine

from db.base import Base
from db.engine import open_engine, writing
from db.pauses import pause
from db.records import ObjectState, RevisionState
from db.workers import tell
from pipeline.errors import Unavailable
from worker import metric_names
from worker.ledger_gauges import LedgerGauges
from worker.metric_names import METRICS, as_markdown
from worker.metrics import Metrics


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A database with the tables."""
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    Base.metadata.create_all(engine)
    return engine


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """Our samples, as Prometheus reads them."""
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("nightread_") and "_created" not in line]
    return {name: float(value) for name, value in pairs}


def test_a_batch_counts_by_outcome_and_what_was_put_off_is_a_retry() -> None:
    metrics = Metrics()
    metrics.settled("convert", [ObjectState.CONVERTED, ObjectState.CONVERTED, ObjectState.PENDING])
    metrics.settled("caption", [RevisionState.FAILED, RevisionState.WAITING, RevisionState.REPORTED])
    metrics.given_up("caption", 2)
    samples = shown(metrics.registry)
    assert samples['nightread_settled_total{outcome="converted",queue="convert"}'] == 2
    assert samples['nightread_settled_total{outcome="reported",queue="caption"}'] == 1
    assert samples['nightread_retries_total{queue="convert"}'] == 1
    assert samples['nightread_retries_total{queue="caption"}'] == 1
    assert samples['nightread_dead_total{queue="caption"}'] == 3
    assert not any("waiting" in name or "pending" in name for name in samples)


def test_a_stage_is_timed_also_when_it_fails() -> None:
    metrics = Metrics()
    with pytest.raises(ZeroDivisionError), metrics.stage("load"):
        raise ZeroDivisionError
    assert shown(metrics.registry)['nightread_stage_seconds_count{stage="load"}'] == 1


def test_gpu_memory_is_read_when_it_is_asked_for() -> None:
    metrics, used = Metrics(), [5.0]
    metrics.watch_gpu_memory({"used": lambda: used[0]})
    used[0] = 7.0
    assert shown(metrics.registry)['nightread_gpu_memory_bytes{state="used"}'] == 7


def test_the_gauges_tell_the_ledger_and_the_broker(engine: Engine) -> None:
    with writing(engine) as connection:
        tell(connection, name="beat:h:1", kind="beat", age_seconds=0, settled=0, detail={})
        pause(connection, "caption", reason="lunch", actor="operator")
    registry = CollectorRegistry()
    LedgerGauges(engine, messages=lambda: {"nightread.dead": 2}).register(registry)
    samples = shown(registry)
    assert samples["nightread_ledger_up"] == 1
    assert samples['nightread_workers{kind="beat"}'] == 1
    assert samples['nightread_queue_paused{queue="caption"}'] == 1
    assert samples['nightread_queue_paused{queue="convert"}'] == 0
    assert samples['nightread_backlog{lane="urgent",queue="caption"}'] == 0
    assert samples['nightread_messages{queue="nightread.dead"}'] == 2


def test_a_ledger_that_is_away_leaves_its_gauges_out(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")  # no tables
    registry = CollectorRegistry()
    LedgerGauges(engine).register(registry)
    assert shown(registry) == {"nightread_ledger_up": 0}


def test_a_broker_that_is_away_leaves_its_gauge_out(engine: Engine) -> None:
    def messages() -> dict[str, int]:
        raise Unavailable("refused")

    registry = CollectorRegistry()
    LedgerGauges(engine, messages=messages).register(registry)
    assert not any("messages" in name for name in shown(registry))
    assert shown(registry)["nightread_ledger_up"] == 1


def test_scrapes_in_a_row_ask_the_ledger_once(engine: Engine) -> None:
    now = [100.0]
    asked: list[float] = []

    def messages() -> dict[str, int]:
        asked.append(now[0])
        return {}

    gauges = LedgerGauges(engine, messages=messages, clock=lambda: now[0])
    for now[0] in (100.0, 101.0, 104.0, 106.0):
        list(gauges.collect())
    assert asked == [100.0, 106.0]


def test_every_name_is_measured_by_somebody(engine: Engine) -> None:
    """Those of one part of the program only are named in its source."""
    metrics = Metrics()
    LedgerGauges(engine).register(metrics.registry)
    measured = {family.name for family in metrics.registry.collect()}
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(metric_names.__file__).parent.glob("*.py"))
    for metric in METRICS:
        assert metric.name in measured or sources.count(f'"{metric.name}"') > 1, metric.name
    assert {name for name in measured if name.startswith("nightread")} <= {metric.name for metric in METRICS}


def test_every_name_says_what_it_means_and_what_to_do() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(metric.meaning and metric.remedy for metric in METRICS)
    assert as_markdown().count("\n") == len(METRICS) + 2
