"""The demo archive holds what it promises, and any DICOM reader can read it."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless

from worker.demo import DemoSummary, write_demo

DECODERS: dict[str, Any] = {
    JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
    JPEGLosslessSV1: imagecodecs.ljpeg_decode,
    JPEGLSLossless: imagecodecs.jpegls_decode,
    JPEG2000Lossless: imagecodecs.jpeg2k_decode,
}
SCALE = 0.12


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    return write_demo(tmp_path_factory.mktemp("demo"), studies=14, seed=1, scale=SCALE)


def pixels(ds: Dataset) -> NDArray[Any]:
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax in DECODERS:
        frame = next(generate_frames(ds.PixelData, number_of_frames=1))
        return np.asarray(DECODERS[syntax](frame))
    return np.asarray(ds.pixel_array)


def readable(demo: DemoSummary) -> list[Dataset]:
    return [dcmread(demo.archive / key) for study in demo.studies for key in study.readable_keys]


def test_every_readable_image_decodes_to_what_its_header_says(demo: DemoSummary) -> None:
    for ds in readable(demo):
        stored = pixels(ds)
        assert stored.shape == (ds.Rows, ds.Columns)
        assert stored.max() < 2**ds.BitsStored
        assert stored.std() > 0.05 * 2**ds.BitsStored


def test_the_images_differ_in_the_ways_that_real_ones_do(demo: DemoSummary) -> None:
    found = readable(demo)
    assert len({ds.file_meta.TransferSyntaxUID for ds in found}) == 9
    assert {ds.BitsStored for ds in found} >= {8, 10, 12, 14, 16}
    assert {ds.PhotometricInterpretation for ds in found} == {"MONOCHROME1", "MONOCHROME2"}
    assert {ds.Modality for ds in found} == {"CR", "DX"}
    for keyword in ("WindowCenter", "VOILUTSequence", "ViewPosition", "ViewCodeSequence", "PatientOrientation"):
        assert any(keyword in ds for ds in found), keyword
    assert any(ds.get("VOILUTFunction") == "SIGMOID" for ds in found)
    assert any("WindowCenter" not in ds and "VOILUTSequence" not in ds for ds in found)


def test_no_two_objects_share_a_uid_but_the_copy(demo: DemoSummary) -> None:
    uids = [ds.SOPInstanceUID for ds in readable(demo)]
    assert len(uids) - len(set(uids)) == 1
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
    copied = demo.case("same object twice")
    assert (demo.archive / copied.keys[0]).read_bytes() == (demo.archive / copied.keys[2]).read_bytes()


def test_every_patient_is_plainly_invented(demo: DemoSummary) -> None:
    assert {str(ds.PatientName).split("^")[0] for ds in readable(demo)} == {"DEMO"}


def test_each_surprise_is_there(demo: DemoSummary) -> None:
    def first(case: str) -> Dataset:
        return dcmread(demo.archive / demo.case(case).keys[0], stop_before_pixels=True)

    assert first("sr only").Modality == "SR"
    assert first("ct slice").Modality == "CT"
    assert first("hip").BodyPartExamined == "HIP"
    assert first("no frontal").InstanceNumber == 2
    assert not demo.case("not dicom").study_instance_uid
    for key in demo.case("not dicom").keys:
        with pytest.raises(InvalidDicomError):
            dcmread(demo.archive / key)


def test_the_truncated_file_has_a_whole_header_and_too_few_pixels(demo: DemoSummary) -> None:
    study = demo.case("truncated")
    path = demo.archive / study.keys[0]
    assert dcmread(path, stop_before_pixels=True).StudyInstanceUID == study.study_instance_uid
    assert not path.read_bytes().rstrip(b"\0").endswith(b"\xff\xd9")
    assert study.fates == ("failed",)


def test_the_late_image_belongs_to_a_study_that_is_already_there(demo: DemoSummary) -> None:
    study = demo.case("late image")
    (key,) = study.late_keys
    assert not (demo.archive / key).exists()
    late, early = dcmread(demo.late / key), dcmread(demo.archive / study.keys[0])
    assert late.StudyInstanceUID == early.StudyInstanceUID == study.study_instance_uid
    assert late.SOPInstanceUID != early.SOPInstanceUID


def test_the_summary_counts_what_was_written(demo: DemoSummary) -> None:
    files = [path for path in demo.archive.rglob("*") if path.is_file()]
    assert demo.objects == len(files) == sum(len(study.keys) for study in demo.studies)
    assert sum(study.case in {"chest", "view not told"} for study in demo.studies) == 14
    assert all(study.expectation for study in demo.studies)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    def contents(folder: str, seed: int) -> dict[str, bytes]:
        root = write_demo(tmp_path / folder, studies=1, seed=seed, scale=0.06).archive
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.dcm")}

    assert contents("one", 5) == contents("two", 5)
    assert contents("one", 5) != contents("other", 6)
