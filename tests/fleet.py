"""Drives a real fleet for the acceptance tests: its processes, the studies that arrive, what became of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kombu import Connection, Queue
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db import schema
from db.engine import open_engine
from tests.arrivals import Arrivals, arrivals_at
from tests.night import ROOT
from tests.services.postgres_service import create_database
from tests.site import EXCHANGE, TOPIC, Site

KINDS: dict[str, tuple[str, ...]] = {
    "intake": ("intake",),
    "convert": ("worker", "convert"),
    "caption": ("worker", "caption"),
    "beat": ("beat",),
}
QUIET_SECONDS = 2
DRAIN_SECONDS = 60


@dataclass(kw_only=True)
class Member:
    """One process of the fleet; what it says is in a file."""

    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """End it at once: only itself, as the kernel would; what it started must notice."""
        self.process.kill()
        self.process.wait()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    @property
    def started(self) -> bool:
        """Whether it came so far as to work."""
        return '"event": "started"' in self.said()

    def said(self) -> str:
        """What it printed and logged."""
        return self.log.read_text(errors="replace")


@dataclass(kw_only=True)
class Fleet:
    """Processes that share a database, a broker and a bucket."""

    site: Site
    home: Path
    database_url: str
    bucket: str
    env: dict[str, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)

    @property
    def queue(self) -> str:
        """The queue of the bucket's events."""
        return f"events-{self.bucket}"

    @property
    def environment(self) -> dict[str, str]:
        """Ours alone: no setting of the machine's leaks in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTREAD_", "AWS_"))}
        return (
            kept
            | self.site.s3.environment
            | {
                "NIGHTREAD_HOME": str(self.home),
                "NIGHTREAD_SOURCE": f"s3://{self.bucket}/in/",
                "NIGHTREAD_DATABASE_URL": self.database_url,
                "NIGHTREAD_BROKER_URL": self.site.rabbitmq.url,
                "NIGHTREAD_EVENTS_QUEUE": self.queue,
                "NIGHTREAD_PSEUDONYM_KEY": "test",
                "NIGHTREAD_QUIET_SECONDS": str(QUIET_SECONDS),
                "NIGHTREAD_PROCESSES": "1",
                "OMP_NUM_THREADS": "1",
            }
            | self.env
        )

    @property
    def arrivals(self) -> Arrivals:
        """Who sends studies."""
        return arrivals_at(self.site.s3, self.bucket)

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        module: str = "worker",
    ) -> Member:
        """Start `nightread …`; `within` is a command that it runs under, `module` stands in for the program."""
        log = self.home / f"{len(self.members):02}-{'-'.join(arguments).replace('/', '_')[:80]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=self.environment | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        member = Member(arguments=arguments, process=process, log=log)
        self.members.append(member)
        return member

    def call(self, *arguments: str, env: Mapping[str, str] | None = None, seconds: float = 60) -> Member:
        """Run `nightread …` to its end."""
        member = self.start(*arguments, env=env)
        try:
            member.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{arguments} still runs after {seconds} s:\n{member.said()}") from None
        return member

    def stop(self) -> dict[str, int]:
        """Ask all to end at once; the exit code of each by its log's name."""
        for member in self.members:
            member.process.send_signal(signal.SIGTERM)
        return {member.log.stem: member.process.wait(DRAIN_SECONDS) for member in self.members}

    def end(self) -> None:
        """Leave no process behind."""
        for member in self.members:
            try:
                os.killpg(member.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            member.process.wait()

    def bind(self, *, seconds: float = 60) -> None:
        """Let the bucket's events reach the queue that intake declared, as an operator would."""
        self.wait_for_queue(seconds=seconds)
        with Connection(self.site.rabbitmq.url) as connection:
            Queue(self.queue, EXCHANGE, routing_key=TOPIC)(connection.channel()).queue_bind()

    def wait_for_queue(self, *, seconds: float = 60) -> None:
        """Wait until intake declared the queue of events."""
        with Connection(self.site.rabbitmq.url) as connection:
            wait_for(lambda: declared(connection, self.queue), seconds, f"queue {self.queue}")

    def wait_for_workers(self, count: int, *, seconds: float = 90) -> None:
        """Wait until so many processes told of themselves."""
        asked = "SELECT count(*) FROM worker"
        wait_for(lambda: self.query(asked)[0][0] >= count, seconds, f"{count} processes tell of themselves")

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the ledger; waits for a database that is being started."""
        while True:
            engine = self.engine()
            try:
                with engine.connect() as connection:
                    return [tuple(row) for row in connection.execute(text(sql), values)]
            except DBAPIError as error:
                if not error.connection_invalidated and "starting up" not in str(error):
                    raise
                time.sleep(0.3)
            finally:
                engine.dispose()

    def engine(self) -> Engine:
        """The ledger's database."""
        return open_engine(self.database_url)

    def logs(self) -> str:
        """The last lines that each process said."""
        return "\n".join(f"--- {member.log.name}\n{member.said()[-2000:]}" for member in self.members)


@contextmanager
def running_fleet(site: Site, home: Path, name: str, **env: str) -> Iterator[Fleet]:
    """A fleet without processes yet, with a database, a bucket and a queue of its own."""
    home.mkdir(parents=True, exist_ok=True)
    site.create_bucket(name)
    fleet = Fleet(
        site=site, home=home, database_url=create_database(site.postgres.url, name), bucket=name, env=env
    )
    engine = fleet.engine()
    schema.require_current(engine, upgrade_empty=True)
    engine.dispose()
    try:
        yield fleet
    finally:
        fleet.end()
        with Connection(site.rabbitmq.url) as connection:
            connection.channel().queue_delete(fleet.queue)


def declared(connection: Connection, queue: str) -> bool:
    """Whether the broker has this queue."""
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except connection.channel_errors:
        return False
    channel.close()
    return True


def wait_for(reached: Callable[[], bool], seconds: float, what: str) -> float:
    """Ask until it is so; returns how long that took."""
    begun = time.monotonic()
    while not reached():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - begun
