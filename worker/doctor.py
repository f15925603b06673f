"""`nightread doctor`: each thing that a run needs, tried for real; one line each, with the remedy.

A check is a function from the site to a short description of what was found; what it raises is its failure.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice

import click

from db.errors import DatabaseError
from db.schema import current
from pipeline.errors import NightreadError, UsageError
from pipeline.study import Preprocessing
from pipeline.viewcache import open_view_cache
from worker.bootstrap import Site
from worker.settings import Settings
from worker.terminal import print_json

LEAST_FREE = 1_000_000_000  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What one check found."""

    name: str
    ok: bool
    text: str  # what was found, or what is wrong and the remedy


def examine(settings: Settings, *, as_json: bool) -> int:
    """Print every check; 1 if any failed."""
    site = Site(settings=settings)
    checks = [_try(name, check, site) for name, check in CHECKS.items()]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            mark = click.style("ok  ", fg="green") if check.ok else click.style("FAIL", fg="red")
            click.echo(f"{mark} {check.name:<9} {check.text}")
    return 0 if all(check.ok for check in checks) else 1


def _try(name: str, check: Callable[[Site], str], site: Site) -> Check:
    try:
        return Check(name=name, ok=True, text=check(site))
    except (NightreadError, DatabaseError) as error:
        return Check(name=name, ok=False, text=str(error))


def _database(site: Site) -> str:
    engine = site.engine
    known = sum(site.ledger.balance().studies.values())
    return f"{engine.url.render_as_string(hide_password=True)}, schema {current(engine)}, {known:,} studies"


def _bucket(site: Site) -> str:
    first = len(list(islice(site.bucket.list(), 1)))
    return f"{site.bucket.name} answers" + ("" if first else ", but holds no object: is the prefix right?")


def _cache(site: Site) -> str:
    if "://" in site.views:
        return _cache_bucket(site.views)
    free = shutil.disk_usage(site.views).free
    if not os.access(site.views, os.W_OK):
        raise UsageError(f"{str(site.views)!r} may not be written; set NIGHTREAD_CACHE to a folder that may")
    if free < LEAST_FREE:
        raise UsageError(f"{str(site.views)!r} has {free / 1e9:.1f} GB left; free some, or set NIGHTREAD_CACHE")
    return f"{site.views}, {free / 1e9:,.0f} GB free"


def _cache_bucket(place: str) -> str:
    """Write a view of one grey pixel and read it back."""
    import numpy as np  # noqa: PLC0415

    cache, dot = open_view_cache(place), Preprocessing(height=1, width=1, fit="squash")
    cache.put("0" * 64, dot, np.zeros((1, 1), np.uint8))
    if cache.get("0" * 64, dot) is None:
        raise UsageError(
            f"{place!r} does not give back what is written there; set NIGHTREAD_CACHE to another place"
        )
    return f"{place} takes and gives views"


def _names(site: Site) -> str:
    site.pin_pseudonyms()
    if site.settings.clear_text:
        return "patient id, name and accession are stored in CLEAR TEXT, as the site switched on"
    return "patient id, name and accession are stored as pseudonyms under this site's key"


def _model(site: Site) -> str:
    manifest = site.manifest
    return f"{manifest.title} ({manifest.architecture}), {manifest.licence}"


def _device(site: Site) -> str:
    captioner = site.load_captioner()
    return f"{captioner.device_name}, {captioner.dtype}"


def _decoders(_site: Site) -> str:
    from pipeline.decoders import check_decoders  # noqa: PLC0415
    from worker.decoder_view import summary  # noqa: PLC0415

    checks = check_decoders()
    if failing := [f"{check.name} ({check.problem})" for check in checks if not check.works]:
        raise UsageError(f"cannot decode {', '.join(failing)}; pip install --force-reinstall imagecodecs")
    return summary(checks)


def _broker(site: Site) -> str:
    from worker import broker, queues  # noqa: PLC0415

    url = site.settings.broker_url.get_secret_value()
    if not url:
        return "none: `nightread run` needs none, a fleet does (NIGHTREAD_BROKER_URL)"
    found = broker.waiting(url, queues.names())
    if not found:
        return "answers; the fleet's queues are made when it starts"
    dead = found.get(queues.DEAD, 0)
    return f"answers, {sum(found.values()):,} messages" + (f", {dead:,} of them in {queues.DEAD}" if dead else "")


CHECKS: dict[str, Callable[[Site], str]] = {
    "database": _database,
    "bucket": _bucket,
    "broker": _broker,
    "cache": _cache,
    "names": _names,
    "model": _model,
    "device": _device,
    "decoders": _decoders,
}
