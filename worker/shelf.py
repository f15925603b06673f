"""From a model's name or the champion's alias to the folder with its files, and how a new version gets there.

A version is looked for where the site keeps its models, then among the checkpoints that come with this release. A
shipped one that is in use is kept with the site's own, so that an update of the program takes it from nobody.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog
from sqlalchemy import Engine

from db.aliases import CHAMPION
from db.registry import Registry
from db.versions import VersionEntry, Versions
from pipeline.errors import CheckpointError, NightreadError, UsageError
from pipeline.manifest import Manifest, find_checkpoint, load_manifest, shipped_checkpoints
from pipeline.modelplace import ModelPlace, fetch, keep
from worker.provenance import model_fact

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A registered version whose files are on this machine."""

    version_id: int
    folder: Path
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The models of one site."""

    engine: Engine
    place: ModelPlace
    cache: Path  # where fetched ones are kept

    @cached_property
    def versions(self) -> Versions:
        """The versions that the database knows."""
        return Versions(self.engine)

    def named(self, title: str) -> VersionEntry:
        """The registered version that a person calls NAME@VERSION, or by its alias."""
        held = self.versions.aliases()
        if title in held:
            return self.versions.entry(held[title])
        name, _, version = title.partition("@")
        entry = self.versions.named(name, version)
        if entry is None:
            raise UsageError(
                f"there is no model {title!r}; `nightread models list` shows all, as NAME@VERSION, and "
                "`nightread-train publish CHECKPOINT` adds one"
            )
        return entry

    def model(self, version_id: int) -> Model:
        """A registered version, its files found or fetched.

        Raises:
            CheckpointError: They are nowhere.
            ModelConflict: What is found is not what was registered.
        """
        entry = self.versions.entry(version_id)
        folder = fetch(self.place, entry.name, entry.version, cache=self.cache) or self._shipped(entry)
        manifest = load_manifest(folder)
        Registry(self.engine).find_model(model_fact(manifest))
        return Model(version_id=version_id, folder=folder, manifest=manifest)

    def add(self, folder: Path) -> Model:
        """Keep and register a checkpoint.

        Raises:
            CheckpointError: Its files are damaged, or the version is kept with other ones.
            ModelConflict: The version is registered with other files.
        """
        fact = model_fact(load_manifest(folder))
        registry = Registry(self.engine)
        registry.find_model(fact)  # before anything is written
        manifest = keep(self.place, folder)
        return Model(version_id=registry.register_model(fact), folder=folder, manifest=manifest)

    def champion(self) -> Model | None:
        """The version that the alias points at, None while it points nowhere."""
        version_id = self.versions.aliases().get(CHAMPION)
        return None if version_id is None else self.model(version_id)

    def adopt(self, *, actor: str) -> Model:
        """The champion; where there is none yet, the one that comes with this release becomes it."""
        champion = self.champion()
        if champion is not None:
            return champion
        folder = find_checkpoint(CHAMPION)
        self._keep(folder)
        version_id = Registry(self.engine).register_model(model_fact(load_manifest(folder)))
        reason = "the first: it came with the program"
        return self.model(self.versions.adopt(version_id, actor=actor, reason=reason))

    def _shipped(self, entry: VersionEntry) -> Path:
        for folder in shipped_checkpoints().values():
            manifest = load_manifest(folder)
            if (manifest.name, manifest.version) == (entry.name, entry.version):
                self._keep(folder)
                return folder
        raise CheckpointError(
            f"the files of {entry.title} are not where models are kept (NIGHTREAD_MODELS), nor do they come with "
            "this release; publish its checkpoint again, or promote another"
        )

    def _keep(self, folder: Path) -> None:
        try:
            keep(self.place, folder)
        except NightreadError as error:  # it can be used from where it is
            log.warning("model_not_kept", reason=str(error))
