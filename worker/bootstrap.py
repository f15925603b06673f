"""The composition root: builds the real collaborators from the settings. Nothing else does.

Imports of torch stay inside the functions that need it, so that a command which needs no model starts at once.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from db.engine import open_engine
from db.errors import SettingConflict
from db.lanes import Lanes
from db.ledger import Ledger
from db.registry import Registry
from db.schema import require_current
from pipeline.bucket import Bucket, open_bucket
from pipeline.errors import UsageError
from pipeline.manifest import Manifest, decoding_sha256, load_manifest
from pipeline.viewcache import require_outside
from worker.captioning import Bench, CaptionThread
from worker.conversions import Conversions
from worker.converter import ConverterSpec, open_desk
from worker.heap import keep_freed_memory
from worker.local import LocalRun, Progress, Throughput
from worker.metrics import Metrics
from worker.pool import ConverterPool
from worker.provenance import model_fact, run_fact
from worker.pseudonyms import Pseudonyms, load_key
from worker.settings import Settings
from worker.triage import Triage, parse_patterns

if TYPE_CHECKING:
    from pipeline.captioner import Captioner

DEPTH = 16  # objects in hand per converting process: enough to bridge a settle, few enough to lose little
STARTER = Path(__file__).resolve().parent.parent / "pipeline" / "starter"


@dataclass(frozen=True, kw_only=True)
class Site:
    """One site's collaborators, each built when first asked for."""

    settings: Settings

    @cached_property
    def engine(self) -> Engine:
        """The database, its schema current; an empty one is upgraded."""
        self.make_home()
        engine = open_engine(self.settings.database)
        require_current(engine, upgrade_empty=True)
        return engine

    def make_home(self) -> None:
        """Make the home folder where the embedded database lies in it."""
        if not self.settings.database_url:
            _make_folder(self.settings.home, "NIGHTREAD_HOME")

    @cached_property
    def ledger(self) -> Ledger:
        """What there is to do, and what became of it."""
        return Ledger(self.engine)

    @cached_property
    def registry(self) -> Registry:
        """Model versions and runs, in the same database."""
        return Registry(self.engine)

    @cached_property
    def bucket(self) -> Bucket:
        """The watched bucket."""
        return open_bucket(self.source)

    @property
    def source(self) -> str:
        """Where the studies are."""
        if not self.settings.source:
            raise UsageError("no source was given: name a folder or s3://bucket/prefix, or set NIGHTREAD_SOURCE")
        return self.settings.source

    @cached_property
    def views(self) -> str:
        """The view cache's place; a folder is made."""
        if "://" not in self.settings.views:
            _make_folder(Path(self.settings.views), "NIGHTREAD_CACHE")
        return self.settings.views

    def require_outside_source(self) -> None:
        """Whatever a run writes lies outside of what it reads; asked before anything is made."""
        settings = self.settings
        require_outside(settings.home, self.source, what="the home folder (NIGHTREAD_HOME)")
        require_outside(settings.views, self.source, what="the view cache (NIGHTREAD_CACHE)")

    def require_ledger(self) -> None:
        """For commands that only look: a ledger that is not there is not made."""
        file = self.settings.home / "nightread.db"
        if not self.settings.database_url and not file.exists():
            raise UsageError(
                f"there is no ledger at {str(file)!r}; `nightread run` makes it, "
                "or name another with --database or NIGHTREAD_HOME"
            )

    def pin_pseudonyms(self) -> None:
        """Bind the database to this site's key, so that it never holds pseudonyms of two."""
        try:
            self.registry.pin("pseudonyms", self.pseudonyms.fingerprint)
        except SettingConflict as error:
            raise UsageError(
                "this database holds patient identifiers under another setting (another pseudonym key, or clear "
                "text); restore its pseudonym.key, set NIGHTREAD_PSEUDONYM_KEY or NIGHTREAD_CLEAR_TEXT as before, "
                "or name a new database"
            ) from error

    @cached_property
    def checkpoint(self) -> Path:
        """The model's folder."""
        return STARTER if self.settings.model == "starter" else Path(self.settings.model)

    @cached_property
    def manifest(self) -> Manifest:
        """What the model is and accepts; read without loading it."""
        return load_manifest(self.checkpoint)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """What stands in for identifying text."""
        settings = self.settings
        if settings.clear_text:
            return Pseudonyms(key=b"")
        file = settings.home / "pseudonym.key"
        return Pseudonyms(key=load_key(settings.pseudonym_key.get_secret_value(), file))

    @property
    def triage(self) -> Triage:
        """Which studies go first."""
        settings = self.settings
        return Triage(
            urgent_keys=parse_patterns(settings.urgent_keys),
            backfill_days=settings.backfill_days,
            marker=settings.marker,
        )

    @property
    def converter_spec(self) -> ConverterSpec:
        """What a converting process is told."""
        return ConverterSpec(
            source=self.source,
            views=self.views,
            preprocessing=self.manifest.preprocessing,
            pseudonym_key=self.pseudonyms.key,
            triage=self.triage,
            object_seconds=self.settings.object_seconds,
            object_memory=self.settings.object_memory_mb * 1_000_000,
        )

    def load_captioner(self) -> "Captioner":
        """Load the model onto its device: seconds, and most of the memory."""
        from pipeline.captioner import Captioner  # noqa: PLC0415  # torch
        from pipeline.checkpoint import load_checkpoint  # noqa: PLC0415

        keep_freed_memory()
        return Captioner(
            load_checkpoint(self.checkpoint), device=self.settings.device, batch_size=self.settings.batch_size
        )


@contextmanager
def local_run(
    site: Site, *, limit: int | None, quiet_seconds: float, on_progress: Callable[[Progress], None]
) -> Iterator[LocalRun]:
    """A run that is ready to go, under the run lock."""
    bucket = site.bucket  # before anything is made or started: a wrong source ends here
    site.require_outside_source()
    with site.ledger.run_lock("run"):
        site.ledger.free_leases("run:")
        site.ledger.hasten()
        site.pin_pseudonyms()
        owner = f"run:{worker_name()}"
        spec = site.converter_spec
        pool = ConverterPool(spec, processes=site.settings.cores, depth=DEPTH)
        throughput = Throughput()
        try:
            bench = caption_bench(site, spec, owner)
            captions = CaptionThread(
                bench, limit=limit, on_settled=lambda outcomes: throughput.count(len(outcomes))
            )
        except BaseException:
            pool.close()
            raise
        try:
            yield LocalRun(
                ledger=site.ledger,
                bucket=bucket,
                conversions=Conversions(
                    site.ledger, pool, bucket=bucket.name, owner=owner, lease_seconds=site.settings.lease_seconds
                ),
                captions=captions,
                throughput=throughput,
                owner=owner,
                quiet_seconds=quiet_seconds,
                limit=limit,
                on_progress=on_progress,
                stop=threading.Event(),
            )
        finally:
            site.registry.finish_run(
                bench.run_id,
                studies=throughput.settled,
                timings={"seconds": round(throughput.seconds, 3), "processes": site.settings.cores},
            )


def worker_name() -> str:
    """This process, as leases and runs name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def caption_bench(
    site: Site,
    spec: ConverterSpec,
    owner: str,
    *,
    ledger: Ledger | None = None,
    lanes: Lanes | None = None,
    metrics: Metrics | None = None,
    trigger: str = "run",
) -> Bench:
    """Load the model and open a run under which its reports are stored."""
    captioner = site.load_captioner()
    manifest = site.manifest
    model_version_id = site.registry.register_model(model_fact(manifest))
    run_id = site.registry.start_run(
        run_fact(
            captioner,
            model_version_id=model_version_id,
            worker=worker_name(),
            batch_size=site.settings.batch_size,
            trigger=trigger,
        )
    )
    return Bench(
        ledger=ledger or site.ledger,
        desk=open_desk(spec),
        captioner=captioner,
        accepts=manifest.accepts,
        model=manifest.title,
        batch_size=site.settings.batch_size,
        owner=owner,
        lease_seconds=site.settings.lease_seconds,
        run_id=run_id,
        model_version_id=model_version_id,
        decoding_sha256=decoding_sha256(manifest.decoding),
        device=captioner.device_name,
        gpu_memory=captioner.memory_meters,
        lanes=lanes,
        metrics=metrics or Metrics(),
    )


def _make_folder(folder: Path, variable: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {str(folder)!r} cannot be made ({error.strerror}); set {variable} to one you may write"
        ) from error
