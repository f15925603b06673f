"""The composition root: builds the real collaborators from the settings. Nothing else does.

Imports of torch stay inside the functions that need it, so that a command which needs no model starts at once.
"""

import os
import socket
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from db.aliases import CHAMPION
from db.engine import open_engine
from db.errors import SettingConflict
from db.ledger import Ledger
from db.registry import Registry
from db.schema import require_current
from pipeline.bucket import Bucket, open_bucket
from pipeline.errors import UsageError
from pipeline.handling import Handling
from pipeline.manifest import Manifest, find_checkpoint, load_manifest
from pipeline.modelplace import open_models
from pipeline.rules import NO_RULES, Rules
from pipeline.view_classifier import SHIPPED, load_classifier
from pipeline.viewcache import require_outside
from worker.converter import ConverterSpec
from worker.heap import keep_freed_memory
from worker.provenance import model_fact
from worker.pseudonyms import Pseudonyms, load_key
from worker.settings import Settings
from worker.shelf import Model, Shelf
from worker.triage import Triage, parse_patterns

if TYPE_CHECKING:
    from pipeline.captioner import Captioner

DEPTH = 16  # objects in hand per converting process: enough to bridge a settle, few enough to lose little


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
        return Ledger(self.engine, keeps_indications=self.settings.keeps_indications)

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
        require_outside(settings.models_place, self.source, what="the models' place (NIGHTREAD_MODELS)")

    @property
    def _file(self) -> Path:
        """The embedded database."""
        return self.settings.home / "nightread.db"

    @property
    def has_ledger(self) -> bool:
        """Whether a ledger is there, or at least named."""
        return bool(self.settings.database_url) or self._file.exists()

    def require_ledger(self) -> None:
        """For commands that only look: a ledger that is not there is not made."""
        if not self.has_ledger:
            raise UsageError(
                f"there is no ledger at {str(self._file)!r}; `nightread run` makes it, "
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
    def shelf(self) -> Shelf:
        """The site's models."""
        return Shelf(
            engine=self.engine,
            place=open_models(self.settings.models_place),
            cache=self.settings.home / "fetched-models",
        )

    @property
    def follows_champion(self) -> bool:
        """Whether the registry says which model is used; else the setting names one for good."""
        return self.settings.model == CHAMPION

    def adopt_model(self) -> Model:
        """The model that is used, registered; the first champion of all is the one that comes with the program."""
        if self.follows_champion:
            return self.shelf.adopt(actor=worker_name())
        version_id = self.registry.register_model(model_fact(self.manifest))
        return Model(version_id=version_id, folder=self.checkpoint, manifest=self.manifest)

    @cached_property
    def checkpoint(self) -> Path:
        """The model's folder. Writes nothing: a site without any champion is told the one to be."""
        name = self.settings.model
        if "@" in name and not Path(name).is_dir():
            return self.shelf.model(self.shelf.named(name).id).folder
        if self.follows_champion and self.has_ledger and (champion := self.shelf.champion()):
            return champion.folder
        return find_checkpoint(name)

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

    @cached_property
    def handling(self) -> Handling:
        """What the site decides about converting, read once: a changed file counts from the next start."""
        return Handling(
            rules=self._rules(), masks_text=self.settings.mask_text, classifier=self._view_classifier()
        )

    def _rules(self) -> Rules:
        if self.settings.rules is None:
            return NO_RULES
        from pipeline.rules_file import load_rules  # noqa: PLC0415  # a YAML reader that few sites need

        return load_rules(self.settings.rules)

    def _view_classifier(self) -> Path | None:
        told = self.settings.view_classifier
        if told == "off":
            return None
        folder = SHIPPED if told == "shipped" else Path(told)
        load_classifier(folder)  # what is wrong with it is told now, not by every image
        return folder

    @property
    def converter_spec(self) -> ConverterSpec:
        """What a converting process is told."""
        return ConverterSpec(
            source=self.source,
            views=self.views,
            preprocessing=self.manifest.preprocessing,
            pseudonym_key=self.pseudonyms.key,
            triage=self.triage,
            takes_indication=self.settings.indication != "off",
            handling=self.handling,
            object_seconds=self.settings.object_seconds,
            object_memory=self.settings.object_memory_mb * 1_000_000,
        )

    def load_captioner(self, folder: Path | None = None) -> "Captioner":
        """Load the model, or the one in `folder`, onto its device: seconds, and most of the memory."""
        from pipeline.captioner import Captioner  # noqa: PLC0415  # torch
        from pipeline.checkpoint import load_checkpoint  # noqa: PLC0415

        keep_freed_memory()
        return Captioner(
            load_checkpoint(folder or self.checkpoint),
            device=self.settings.device,
            batch_size=self.settings.batch_size,
        )


def worker_name() -> str:
    """This process, as leases and runs name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _make_folder(folder: Path, variable: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {str(folder)!r} cannot be made ({error.strerror}); set {variable} to one you may write"
        ) from error
