"""Benches: a model loaded onto its device, with all that captioning needs around it, and a run opened for it.

Loading takes seconds and most of the memory. Every report of a bench is stored under its run and its version.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from db.aliases import SHADOW
from db.errors import DatabaseError
from db.lanes import Lanes
from db.ledger import Ledger
from pipeline.errors import NightreadError
from pipeline.manifest import decoding_sha256
from worker.bootstrap import Site, worker_name
from worker.captioning import Bench
from worker.converter import open_desk
from worker.metrics import Metrics
from worker.provenance import run_fact
from worker.shelf import Model

log = structlog.get_logger()


def model_benches(site: Site, owner: str, **given: Any) -> Callable[[int, str], Bench]:
    """How a bench is had for a version by its id and for a trigger; `given` as for `caption_bench`."""

    def load(version_id: int, trigger: str) -> Bench:
        return caption_bench(site, site.shelf.model(version_id), owner, trigger=trigger, **given)

    return load


def shadow_bench(site: Site, champion: Bench, owner: str) -> Bench | None:
    """The bench of the model on trial, None where there is none or it cannot be had."""
    version_id = site.shelf.versions.aliases().get(SHADOW) if site.follows_champion else None
    if version_id is None or version_id == champion.model_version_id:
        return None
    try:
        return caption_bench(site, site.shelf.model(version_id), owner, trigger="shadow")
    except (NightreadError, DatabaseError) as error:
        log.error("model_not_taken", version=version_id, trigger="shadow", reason=str(error))  # noqa: TRY400
        return None


def caption_bench(
    site: Site,
    model: Model,
    owner: str,
    *,
    ledger: Ledger | None = None,
    lanes: Lanes | None = None,
    metrics: Metrics | None = None,
    trigger: str = "run",
) -> Bench:
    """Load a model and open a run under which its reports are stored."""
    manifest = model.manifest
    captioner = site.load_captioner(model.folder)
    run_id = site.registry.start_run(
        run_fact(
            captioner,
            model_version_id=model.version_id,
            worker=worker_name(),
            batch_size=site.settings.batch_size,
            trigger=trigger,
        )
    )
    return Bench(
        ledger=ledger or site.ledger,
        desk=open_desk(replace(site.converter_spec, preprocessing=manifest.preprocessing)),
        captioner=captioner,
        accepts=manifest.accepts,
        model=manifest.title,
        batch_size=site.settings.batch_size,
        owner=owner,
        lease_seconds=site.settings.lease_seconds,
        run_id=run_id,
        model_version_id=model.version_id,
        decoding_sha256=decoding_sha256(manifest.decoding),
        device=captioner.device_name,
        gpu_memory=captioner.memory_meters,
        lanes=lanes,
        metrics=metrics or Metrics(),
    )
