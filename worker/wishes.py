"""The `release` command without click: an operator wants studies taken as they are."""

from collections.abc import Sequence

import click

from db import wishes
from db.engine import writing
from db.records import Lane
from worker.bootstrap import Site
from worker.settings import Settings

DONE, FAILED = 0, 1


def release_studies(settings: Settings, uids: Sequence[str], *, lane: Lane | None) -> int:
    """Ask for their release, tell what was asked, and return the exit code: 1 when any is unknown."""
    site = Site(settings=settings)
    site.require_ledger()
    with writing(site.engine) as connection:
        wish = wishes.release_now(connection, list(uids), lane=lane, actor="operator")
    told = f"released as they are: {wish.asked:,}; nothing new to release: {wish.settled:,}"
    if lane:
        told += f"; in the {lane.value} lane from now on: {wish.asked + wish.settled:,}"
    click.echo(told)
    for uid in wish.unknown:
        click.echo(
            f"nightread: no study {uid!r} in the ledger; perhaps none of its images is converted yet", err=True
        )
    return FAILED if wish.unknown else DONE
