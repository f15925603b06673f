"""The same examples and pixels, whatever form the data come in."""

import json
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.study import Preprocessing
from tests.unit.sources.folders import (
    image_bytes,
    openi_report,
    record,
    write_csv,
    write_indiana,
    write_tgz,
)
from training.datasets import ImageArchive, read_examples
from training.examples import LABELER, PEOPLE, TEXT, Example
from training.sources.readers import card_notes, open_data, reader_of

SIZE = Preprocessing(height=32, width=32, fit="squash")
REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough

 FINDINGS:

 The heart is enlarged.  There is a
 pleural effusion.

 IMPRESSION:

 Cardiomegaly.
"""


def coding(example: Example) -> tuple[list[str], str]:
    return sorted(example.problems), example.coded_by


def test_our_own_form_keeps_what_people_coded_and_reads_the_rest(tmp_path: Path) -> None:
    plain = record(1, patient="P7", age=63, sex="F")
    uncoded = {key: value for key, value in record(3).items() if key not in ("problems", "mesh", "split")}
    write_indiana(tmp_path, [plain, uncoded, record(4, coded_by="text")])
    first, second, third = read_examples(tmp_path)
    assert (first.patient, first.age, first.sex, first.indication) == ("P7", 63, "F", "Cough.")
    assert coding(first) == (["Cardiomegaly"], PEOPLE)
    assert first.mesh == {"Cardiomegaly/mild"}
    assert coding(second) == (["Cardiomegaly"], TEXT)
    assert second.patient == "S3"
    assert second.split in ("train", "val", "test")
    assert third.coded_by == TEXT
    (note,) = card_notes(open_data(tmp_path))
    assert note.startswith("the problems of 2 of 3 studies were coded by nobody")


def test_a_record_that_cannot_be_read_is_told_with_all_others(tmp_path: Path) -> None:
    strange = [{"file": "a.png", "view": "PA"}]
    write_indiana(tmp_path, ["what", record(1, findings=None), record(2, images=strange), record(3)])
    data = open_data(tmp_path)
    assert [example.study for example in data.examples] == ["S3"]
    with pytest.raises(UsageError) as caught:
        read_examples(tmp_path)
    for part in ("no objects: record 0", "no 'findings', or one of a wrong type: S1", "a.png ('PA')"):
        assert part in str(caught.value)


def test_a_study_without_an_image_is_left_out(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(1, images=[]), record(2)])
    assert [example.study for example in read_examples(tmp_path)] == ["S2"]


def openi_folder(folder: Path) -> Path:
    """One study with both views in the wrong order, one whose captions tell."""
    reports = folder / "ecgen-radiology"
    reports.mkdir()
    both = {"CXR10_IM-1-1001": "Chest PA and Lateral", "CXR10_IM-1-2001": "Chest PA and Lateral"}
    (reports / "10.xml").write_text(openi_report(10, both, ["Cardiomegaly/mild", "Opacity/lung/base"]))
    told = {"CXR2_IM-2-1001": "Lateral view", "CXR2_IM-2-2001": "PA chest"}
    (reports / "2.xml").write_text(openi_report(2, told, []))
    (folder / "images").mkdir()
    for number, name in enumerate([*both, *told]):
        (folder / "images" / f"{name}.png").write_bytes(image_bytes(number))
    return folder


def test_open_i_is_read_from_its_xml(tmp_path: Path) -> None:
    openi_folder(tmp_path)
    second, tenth = read_examples(tmp_path)
    assert (second.study, tenth.study) == ("CXR2", "CXR10")
    assert (second.frontal, second.lateral) == ("CXR2_IM-2-2001", "CXR2_IM-2-1001")
    assert (tenth.frontal, tenth.lateral) == ("CXR10_IM-1-1001", "CXR10_IM-1-2001")
    assert coding(tenth) == (["Cardiomegaly", "Opacity"], PEOPLE)
    assert tenth.mesh == {"Cardiomegaly/mild", "Opacity/lung/base"}
    assert (tenth.findings, tenth.indication) == ("The heart is enlarged.", "Chest pain.")
    assert coding(second) == (["Cardiomegaly"], TEXT)
    assert ImageArchive(tmp_path, SIZE).pixels("CXR2_IM-2-2001").shape == (32, 32)
    assert any("2 of 4 images was not told" in note for note in card_notes(open_data(tmp_path)))


def test_a_table_of_projections_is_believed(tmp_path: Path) -> None:
    openi_folder(tmp_path)
    write_csv(
        tmp_path / "indiana_projections.csv",
        [
            {"uid": 10, "filename": "IM-1-1001.dcm.png", "projection": "Lateral"},
            {"uid": 10, "filename": "IM-1-2001.dcm.png", "projection": "Frontal"},
        ],
    )
    tenth = read_examples(tmp_path)[1]
    assert (tenth.frontal, tenth.lateral) == ("CXR10_IM-1-2001", "CXR10_IM-1-1001")
    assert not open_data(tmp_path).notes


def test_open_i_is_read_from_its_archives(tmp_path: Path) -> None:
    report = openi_report(1, {"CXR1_IM-1-1001": "PA"}, ["normal"]).encode()
    write_tgz(tmp_path / "NLMCXR_reports.tgz", {"ecgen-radiology/1.xml": report, "ecgen-radiology/3.xml": b"<eC"})
    write_tgz(tmp_path / "NLMCXR_png.tgz", {"CXR1_IM-1-1001.png": image_bytes(1)})
    data = open_data(tmp_path)
    assert [example.frontal for example in data.examples] == ["CXR1_IM-1-1001"]
    assert data.images.read("CXR1_IM-1-1001") == image_bytes(1)
    assert [problem.kind for problem in data.problems] == ["these reports are no XML"]


def mimic_folder(folder: Path, *, labels: bool) -> Path:
    """Two patients: one with two studies, one whose report is missing."""
    studies = [("10000001", "1", "PA"), ("10000001", "1", "LL"), ("10000001", "2", "AP"), ("10000002", "3", "PA")]
    rows = [
        {"dicom_id": f"d{number}", "subject_id": subject, "study_id": study, "ViewPosition": view}
        for number, (subject, study, view) in enumerate(studies)
    ]
    write_csv(folder / "mimic-cxr-2.0.0-metadata.csv.gz", rows)
    splits = [{"dicom_id": f"d{number}", "study_id": "1", "split": "validate"} for number in range(2)]
    write_csv(folder / "mimic-cxr-2.0.0-split.csv", splits)
    if labels:
        said = {"subject_id": "10000001", "study_id": "1", "Atelectasis": "-1.0", "No Finding": "", "Edema": "0.0"}
        write_csv(folder / "mimic-cxr-2.0.0-chexpert.csv.gz", [said, {**said, "study_id": "2", "Atelectasis": ""}])
    place = folder / "files" / "p10" / "p10000001"
    for number, (_, study, _) in enumerate(studies[:3]):
        (place / f"s{study}").mkdir(parents=True, exist_ok=True)
        (place / f"s{study}.txt").write_text(REPORT)
        (place / f"s{study}" / f"d{number}.jpg").write_bytes(image_bytes(number, kind="JPEG"))
    return folder


def test_mimic_is_read_from_its_tables_and_reports(tmp_path: Path) -> None:
    mimic_folder(tmp_path, labels=False)
    first, second = read_examples(tmp_path)
    place = "files/p10/p10000001/s1"
    assert (first.study, first.patient, first.split) == ("s1", "p10000001", "val")
    assert (first.frontal, first.lateral) == (f"{place}/d0.jpg", f"{place}/d1.jpg")
    assert first.findings == "The heart is enlarged. There is a pleural effusion."
    assert (first.impression, first.indication) == ("Cardiomegaly.", "XXXX year old woman with cough")
    assert coding(first) == (["Cardiomegaly", "Pleural Effusion"], TEXT)
    assert second.split in ("train", "val", "test")
    study = ImageArchive(tmp_path, SIZE).study(first, 3)
    assert (study.key, study.background.indication) == (3, first.indication)
    assert [problem.place for problem in open_data(tmp_path).problems] == ["files/p10/p10000002/s3.txt"]


def test_mimics_labels_are_used_where_they_are(tmp_path: Path) -> None:
    first, second = read_examples(mimic_folder(tmp_path, labels=True))
    assert coding(first) == (["Pulmonary Atelectasis"], LABELER)
    assert not second.abnormal


def test_the_form_is_told_by_the_folder_or_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there are no data in .*studies\.json beside images\.zip \(iuxray\);"):
        reader_of(tmp_path)
    (tmp_path / "studies.json").write_text(json.dumps([]))
    assert reader_of(tmp_path).form == "iuxray"
    (tmp_path / "ecgen-radiology").mkdir()
    with pytest.raises(UsageError, match=r"several forms \(iuxray, openi\)"):
        reader_of(tmp_path)
    assert reader_of(tmp_path, "openi").form == "openi"
    with pytest.raises(UsageError, match="no form of data 'chexpert'"):
        reader_of(tmp_path, "chexpert")
