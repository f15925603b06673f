"""What must not start: a wrong setting ends the process in one line that names it, before it takes work."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Queue
from sqlalchemy import text

from db.engine import writing
from tests.fleet import Fleet, Member, wait_for
from worker.queues import CONVERT

WRONG_BROKERS = {
    "host": "amqp://nightread:nightread@127.0.0.1:1/nightread",
    "scheme": "ampq://nightread:nightread@127.0.0.1:{port}/nightread",
    "password": "amqp://nightread:nott0ld@127.0.0.1:{port}/nightread",
    "user": "amqp://nobody:nott0ld@127.0.0.1:{port}/nightread",
    "vhost": "amqp://nightread:nightread@127.0.0.1:{port}/elsewhere",
}
COMMANDS = [("up",), ("intake",), ("worker", "convert"), ("worker", "caption"), ("beat",)]
CHAMPION = Path(__file__).parents[2] / "pipeline" / "checkpoints" / "champion"


@pytest.fixture
def busy_fleet(fleet: Fleet) -> Fleet:
    """There is work that nobody may take."""
    fleet.arrivals.send(0)
    return fleet


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG_BROKERS)
def test_a_wrong_broker(busy_fleet: Fleet, wrong: str) -> None:
    url = WRONG_BROKERS[wrong].format(port=busy_fleet.site.rabbitmq.port)
    for command in COMMANDS:
        refused = busy_fleet.call(*command, env={"NIGHTREAD_BROKER_URL": url})
        check(busy_fleet, refused, "NIGHTREAD_BROKER_URL")
        assert "nott0ld" not in refused.said()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_broker_at_all(busy_fleet: Fleet, command: tuple[str, ...]) -> None:
    check(
        busy_fleet,
        busy_fleet.call(*command, env={"NIGHTREAD_BROKER_URL": ""}),
        "NIGHTREAD_BROKER_URL",
        codes=(1, 2),
    )


@pytest.fixture
def own_vhost(fleet: Fleet) -> Iterator[str]:
    """The URL of a vhost in which queues may be spoilt."""
    control = fleet.site.rabbitmq.control
    control("add_vhost", "spoilt")
    control("set_permissions", "-p", "spoilt", "nightread", ".*", ".*", ".*")
    yield fleet.site.rabbitmq.url.removesuffix("nightread") + "spoilt"
    control("delete_vhost", "spoilt")


@pytest.mark.slow
def test_a_queue_that_exists_as_another_type(busy_fleet: Fleet, own_vhost: str) -> None:
    with Connection(own_vhost) as connection:
        Queue(CONVERT, durable=True)(connection.channel()).declare()
    for command in COMMANDS:
        refused = busy_fleet.call(*command, env={"NIGHTREAD_BROKER_URL": own_vhost})
        check(busy_fleet, refused, "NIGHTREAD_BROKER_URL")
        assert CONVERT in refused.said()


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["0003", "9999"])
def test_a_database_that_is_not_of_this_version(busy_fleet: Fleet, revision: str) -> None:
    engine = busy_fleet.engine()
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()
    for command in COMMANDS:
        check(busy_fleet, busy_fleet.call(*command), "NIGHTREAD_DATABASE_URL")


@pytest.mark.slow
def test_a_database_that_is_not_there(busy_fleet: Fleet) -> None:
    for wrong in ("127.0.0.1:1/far", f"127.0.0.1:{busy_fleet.site.postgres.port}/nowhere"):
        url = f"postgresql://nightread:nightread@{wrong}"
        for command in COMMANDS:
            check(
                busy_fleet,
                busy_fleet.call(*command, env={"NIGHTREAD_DATABASE_URL": url}),
                "NIGHTREAD_DATABASE_URL",
            )


@pytest.mark.slow
def test_two_workers_with_different_files_under_one_version(busy_fleet: Fleet, tmp_path: Path) -> None:
    first = busy_fleet.start("worker", "caption")
    wait_for(lambda: bool(busy_fleet.query("SELECT 1 FROM model_version")), 60, "the model is registered")
    other = altered_model(tmp_path / "model")
    for command in (("worker", "caption"), ("up",)):
        refused = busy_fleet.call(*command, env={"NIGHTREAD_MODEL": str(other)})
        check(busy_fleet, refused, "NIGHTREAD_MODEL")
    assert first.alive


def altered_model(folder: Path) -> Path:
    """The champion with one weight changed, under the same name and version."""
    shutil.copytree(CHAMPION, folder)
    weights = folder / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["model.safetensors"] = hashlib.sha256(changed).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def check(fleet: Fleet, refused: Member, setting: str, *, codes: tuple[int, ...] = (1,)) -> None:
    """One line that names the setting, no traceback, and nothing was taken."""
    said = refused.said()
    assert refused.process.returncode in codes, said
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if setting in line]) == 1, said
    assert fleet.query("SELECT count(*) FROM object")[0][0] == 0
