"""Studies that arrive in a bucket: a frontal and a lateral view each, sent until the bucket has them.

Every tenth is of a hip, which the model does not take: it must end with a reason, not with a report.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.archives import shadow
from tests.dx import DxTags, dx_bytes, study_uid
from tests.services.s3_service import S3Service

VIEWS = ("PA", "LL")
THREADS = 8
PATIENCE = 120  # seconds that the gateway may be away


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """A modality that sends to one bucket; its studies are numbers."""

    bucket: str
    client: Any
    folder: str = "in"  # the first part of the keys

    def send(self, number: int, views: Iterable[str] = VIEWS) -> None:
        """Store a study's objects, however often the gateway has to be asked."""
        for view in views:
            image = shadow(2 * number + VIEWS.index(view))
            tags = DxTags(study=name_of(number), name=view, view_position=view, body_part=body_part(number))
            self._store(f"{self.folder}/{name_of(number)}/{view}.dcm", dx_bytes(image, tags))

    def send_all(self, numbers: Iterable[int], *, seconds: float = 0) -> None:
        """Store them side by side, spread evenly over so many seconds."""
        listed, begun = list(numbers), time.monotonic()

        def send_in_time(place: int) -> None:
            time.sleep(max(0.0, begun + seconds * place / len(listed) - time.monotonic()))
            self.send(listed[place])

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(send_in_time, range(len(listed))))

    def _store(self, key: str, body: bytes) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
            except (BotoCoreError, ClientError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
            else:
                return


def arrivals_at(service: S3Service, bucket: str) -> Arrivals:
    """A modality that sends there and asks again when the gateway is away."""
    config = Config(
        connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, max_pool_connections=THREADS
    )
    return Arrivals(bucket=bucket, client=service.client(config=config))


def name_of(number: int) -> str:
    """A study's folder."""
    return f"study-{number:05}"


def uid_of(number: int) -> str:
    """A study's UID."""
    return study_uid(name_of(number))


def body_part(number: int) -> str:
    """What it is of."""
    return "HIP" if number % 10 == 9 else "CHEST"


def state_of(number: int) -> str:
    """How it must end."""
    return "skipped" if body_part(number) == "HIP" else "reported"
