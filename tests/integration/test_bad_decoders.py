"""A decoder that hangs, eats memory, falls or panics ends its own object; all others of a night are converted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imagecodecs
import pytest

from db.records import ObjectOutcome, ObjectState, ObjectWork
from pipeline.bucket import open_bucket
from pipeline.study import Preprocessing
from tests import bad_decoders
from tests.bad_decoders import EATS, FALLS, HANGS, PANICS
from tests.dicom_builder import dicom_bytes, ramp
from tests.handed_work import collect, work_on
from worker.converter import ConverterSpec
from worker.pool import ConverterPool
from worker.triage import Triage

SOUND = (40, 41, 42, 43, 44)
ORDER = (40, HANGS, 41, EATS, 42, FALLS, 43, PANICS, 44)
JPEG_LS = "1.2.840.10008.1.2.4.80"


def _work(source: Path) -> list[ObjectWork]:
    bucket = open_bucket(str(source))
    return [work_on(bucket, ref, object_id=int(ref.key[3:5])) for ref in bucket.list()]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, ObjectOutcome]]:
    """Of two passes: what is pending after the first is given once more, as the ledger would."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "archive").mkdir()
    for place, rows in enumerate(ORDER):
        image = ramp(rows, 40)
        content = dicom_bytes(image, syntax=JPEG_LS, frame=imagecodecs.jpegls_encode(image), PatientName="ZZTOP")
        (folder / "archive" / f"{place:02}-{rows}.dcm").write_bytes(content)
    spec = ConverterSpec(
        source=str(folder / "archive"),
        views=str(folder / "views"),
        preprocessing=Preprocessing(height=64, width=64, fit="squash"),
        pseudonym_key=b"test",
        triage=Triage(),
        takes_indication=True,
        object_seconds=2,
        object_memory=400_000_000,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.pool.serve", bad_decoders.serve)
        pool = ConverterPool(spec, processes=1, depth=len(ORDER))
        try:
            work = _work(folder / "archive")
            pool.submit(work)
            first = collect(pool, seconds=300)
            again = [item for item in work if first[item.object_id].state is ObjectState.PENDING]
            pool.submit([replace(item, attempts=1) for item in again])
            yield first | collect(pool, seconds=300)
        finally:
            pool.close()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (HANGS, "converting it took more than 2 s of CPU time; it was given up"),
        (EATS, "decoding needs more memory than there is"),
        (FALLS, "converting it ended its process 2 times, at last with SIGSEGV"),
        (PANICS, "cannot be decoded (tests.bad_decoders.PanicException)"),
    ],
)
def test_an_object_that_breaks_its_decoder_fails_with_a_reason(
    outcomes: dict[int, ObjectOutcome], rows: int, reason: str
) -> None:
    assert outcomes[rows].state is ObjectState.FAILED
    assert outcomes[rows].reason == reason


def test_its_neighbours_are_converted(outcomes: dict[int, ObjectOutcome]) -> None:
    assert {outcomes[rows].state for rows in SOUND} == {ObjectState.CONVERTED}
    assert len(outcomes) == len(ORDER)
