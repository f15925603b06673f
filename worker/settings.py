"""Every setting, read here and nowhere else: options first, then the environment (`NIGHTREAD_…`), then defaults.

Nothing here opens a file or a connection. All wrong values are reported at once, in one `UsageError`.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import UsageError

PREFIX = "NIGHTREAD_"


class Settings(BaseSettings):
    """The whole configuration of one process; the descriptions are what `--help` and README show."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="forbid")

    home: Path = Field(Path("nightread-data"), description="Folder of everything that Nightread keeps on disk")
    source: str = Field("", description="Folder or s3://bucket/prefix with the DICOM studies; only ever read")
    database_url: str = Field("", description="SQLAlchemy URL of the ledger [default: SQLite in the home folder]")
    cache: str = Field(
        "", description="Folder or s3://bucket/prefix of converted views [default: views/ in the home folder]"
    )
    model: str = Field(
        "champion",
        description="`champion` (the registry's), NAME@VERSION of it, or a checkpoint's shipped name or folder",
    )
    models: str = Field(
        "", description="Folder or s3://bucket/prefix of published models [default: models/ in the home folder]"
    )
    promotion: Path | None = Field(
        None, description="File of the criteria for promotion [default: the shipped one]"
    )
    train_after: NonNegativeInt = Field(
        0, description="Verified reports since the last training run after which the next one starts; 0 is never"
    )
    train_config: str = Field("", description="TOML file on the training machine that scheduled runs train from")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the model runs")
    batch_size: PositiveInt = Field(16, description="Studies that the model captions at once")
    processes: PositiveInt | None = Field(None, description="Converting processes [default: one per core]")
    object_seconds: PositiveInt = Field(10, description="CPU seconds that one object may cost to convert")
    object_memory_mb: PositiveInt = Field(800, description="MB of memory that one object may cost to convert")
    chunk_size: PositiveInt = Field(64, description="Objects or studies that a worker takes on with one message")
    lease_seconds: PositiveFloat = Field(900, description="How long a worker may hold work before others take it")
    attempts: PositiveInt = Field(
        5, description="How often workers may die over the same work before it is given up"
    )
    broker_url: SecretStr = Field(
        SecretStr(""), description="The fleet's broker: amqp://USER:PASSWORD@HOST:PORT/VHOST"
    )
    events_url: SecretStr = Field(
        SecretStr(""), description="Broker of the bucket's events: amqp, redis or sqs URL [default: the broker]"
    )
    events_queue: str = Field("nightread.events", description="Queue that the bucket's events arrive in")
    quiet_seconds: NonNegativeFloat = Field(
        60, description="A study is complete when its last object arrived this long ago"
    )
    max_wait_seconds: PositiveFloat = Field(
        900, description="A study is taken as it is, and flagged, when it still changes after this long"
    )
    marker: str = Field("_COMPLETE", description="Name of an object that says: its folder is complete")
    scan_seconds: NonNegativeFloat = Field(
        300, description="Time between listings that find what no event told; 0 is never"
    )
    urgent_keys: str = Field("", description="Patterns of keys, as in `ed/*,icu/*`, whose studies are urgent")
    backfill_days: PositiveFloat = Field(
        30, description="Objects older than this when they are found go to the backfill lane"
    )
    urgent_weight: PositiveInt = Field(8, description="Share of the urgent lane while all lanes have work")
    routine_weight: PositiveInt = Field(4, description="Share of the routine lane")
    backfill_weight: PositiveInt = Field(1, description="Share of the backfill lane")
    overdue_seconds: PositiveFloat = Field(
        1800, description="A routine study that waited this long goes before any other"
    )
    breaker_share: float = Field(
        0.5, gt=0, le=1, description="A queue is paused when more than this share of its last work failed"
    )
    breaker_least: PositiveInt = Field(50, description="Failures in ten minutes below which no queue is paused")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of /metrics, /live and /ready; 0 is none; `up` uses the next ones too"
    )
    rules: Path | None = Field(
        None, description="YAML file of the site's rules: which images are skipped, preferred or kept for a model"
    )
    clear_text: bool = Field(
        default=False, description="Store patient id, name and accession as they are, not as pseudonyms"
    )
    pseudonym_key: SecretStr = Field(
        SecretStr(""), description="Key of the pseudonyms [default: made once, kept in the home folder]"
    )
    indication: Literal["use", "keep", "off"] = Field(
        "use",
        description="Why studies were asked for: `use` it and erase it with the outcome, `keep` it, or `off`",
    )
    mask_text: bool = Field(
        default=True,
        description="Paint over text that was burned in near an image's borders, before a view is kept",
    )
    view_classifier: str = Field(
        "shipped",
        description="What judges views beside their headers: `shipped`, `off`, or the folder of a site's own",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level to log")

    @property
    def database(self) -> str:
        """The ledger's URL, the embedded default included."""
        return self.database_url or f"sqlite:///{self.home / 'nightread.db'}"

    @property
    def views(self) -> str:
        """The place of the view cache: a folder or s3://bucket/prefix. Views with their text lie apart."""
        place = self.cache or str(self.home / "views")
        return place if self.mask_text else f"{place.rstrip('/')}/unmasked"

    @property
    def keeps_indications(self) -> bool:
        """Whether indications stay in the ledger after their studies are done."""
        return self.indication == "keep"

    @property
    def models_place(self) -> str:
        """The place of published models: a folder or s3://bucket/prefix."""
        return self.models or str(self.home / "models")

    @property
    def cores(self) -> int:
        """How many converting processes to start."""
        return self.processes or len(os.sched_getaffinity(0))


def variable(field: str) -> str:
    """The environment variable that sets a field."""
    return PREFIX + field.upper()


def load_settings(options: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; options that are None were not given.

    Raises:
        UsageError: naming every wrong value at once.
    """
    given = {field: value for field, value in (options or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = [
            f"{variable(str(item['loc'][0]))}={_shown(item['input'])}: {item['msg'].lower()}"
            for item in error.errors()
        ]
        raise UsageError(
            "these settings are wrong: " + "; ".join(lines) + "; `nightread settings` lists them all"
        ) from None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """One line for each variable that has our prefix but sets nothing: most likely a typing error."""
    known = {variable(field) for field in Settings.model_fields}
    lines = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and not name.startswith(PREFIX + "TEST_"):
            near = difflib.get_close_matches(name, known, n=1)
            lines.append(f"{name} sets nothing" + (f"; did you mean {near[0]}?" if near else ""))
    return lines


def _shown(value: object) -> str:
    return "(secret)" if isinstance(value, SecretStr) else repr(value)
