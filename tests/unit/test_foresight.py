"""`nightread rules test`: what a run would make of files, told and not written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.phantom import invent, radiograph
from pipeline.study import VIEW_CLASSIFIER
from tests.dicom_builder import CT_IMAGE, dicom_bytes
from worker.cli import main

RULES = "rules: [{name: no hands, when: {SeriesDescription: {contains: hand}}, do: skip}]"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One study of five objects, and what is no DICOM."""
    folder = tmp_path / "archive"
    (folder / "s1").mkdir(parents=True)
    objects: tuple[dict[str, Any], ...] = (
        {"ViewPosition": "PA"},
        {"ViewPosition": "LL"},
        {"ViewPosition": "AP"},
        {"SeriesDescription": "HAND"},
        {"SOPClassUID": CT_IMAGE, "Modality": "CT"},
    )
    for number, elements in enumerate(objects):
        content = dicom_bytes(SOPInstanceUID=f"1.2.3.{number}", PatientName="Roe^Richard", **elements)
        (folder / "s1" / f"{number}.dcm").write_bytes(content)
    (folder / "note.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "site.yaml").write_text(RULES, encoding="utf-8")
    return folder


def test_each_object_is_told_with_its_reason_and_nothing_is_written(archive: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    options = ["rules", "test", str(archive), "--rules", str(tmp_path / "site.yaml")]
    result = CliRunner().invoke(main, [*options, "--json"], env={"NIGHTREAD_HOME": str(tmp_path / "home")})
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert {one["object"]: (one["outcome"], one["used"], one["reason"]) for one in told["objects"]} == {
        "note.txt": (
            "skipped",
            False,
            "not DICOM: neither a DICM prefix nor a data element at its beginning",
        ),
        "s1/0.dcm": ("converted", True, "frontal"),
        "s1/1.dcm": ("converted", True, "lateral"),
        "s1/2.dcm": ("converted", False, "its beam is AP; that of the frontal view chosen is PA"),
        "s1/3.dcm": ("skipped", False, "the site's rule 'no hands' skips it"),
        "s1/4.dcm": ("skipped", False, "not a radiograph: CT Image Storage"),
    }
    assert told["studies"] == {"1.2.3": ""}
    assert [one["rule"] for one in told["objects"] if one["rule"]] == ["no hands"]
    assert len(told["rules_sha256"]) == 64
    assert "Roe" not in result.output
    assert sorted(tmp_path.rglob("*")) == before
    lines = CliRunner().invoke(main, options).stdout.splitlines()
    assert lines[0].startswith("study 1.2.3: reported by champion")
    assert lines[1].startswith("  used      s1/0.dcm [frontal by ViewPosition]: frontal")
    assert lines[-2] == "of no study with a view"


def test_a_wrong_file_of_rules_stops_before_anything_is_read(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("rules: [{name: x, do: jump}]", encoding="utf-8")
    result = CliRunner().invoke(main, ["rules", "test", str(archive), "--rules", str(tmp_path / "site.yaml")])
    assert result.exit_code == 2
    assert "line 1: `do` is one of skip, prefer, avoid, keep, take" in result.output


def test_a_site_that_switched_the_classifier_off_goes_by_headers_alone(tmp_path: Path) -> None:
    view = radiograph(invent(1), "lateral", rows=256, columns=256)
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(np.asarray(view * 255, np.uint16), ViewPosition=""))
    told = {}
    for setting in ("shipped", "off"):
        environment = {"NIGHTREAD_HOME": str(tmp_path / "home"), "NIGHTREAD_VIEW_CLASSIFIER": setting}
        result = CliRunner().invoke(main, ["rules", "test", str(tmp_path / "a.dcm"), "--json"], env=environment)
        assert result.exit_code == 0, result.output
        (fate,) = json.loads(result.stdout)["objects"]
        told[setting] = (fate["projection"], fate["projection_source"], fate["projection_confidence"] is not None)
    assert told == {"shipped": ("lateral", VIEW_CLASSIFIER, True), "off": ("unknown", "", False)}


def test_a_folder_without_a_classifier_is_refused_before_any_image(archive: Path, tmp_path: Path) -> None:
    environment = {"NIGHTREAD_HOME": str(tmp_path / "home"), "NIGHTREAD_VIEW_CLASSIFIER": str(archive)}
    result = CliRunner().invoke(main, ["rules", "test", str(archive)], env=environment)
    assert result.exit_code == 1
    assert "holds no view classifier" in result.stderr
