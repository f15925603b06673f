"""What is known of a radiograph without a report, and what is not."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from training.sources.radiographs import Radiograph, read_radiographs

NIH = ["Pleural Effusion", "Pulmonary Atelectasis", "abnormal"]


def radiographs(folder: Path, records: list[Any], *, without: str = "") -> dict[str, Radiograph]:
    (folder / "labels.json").write_text(json.dumps(records))
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for raw in records:
            if isinstance(raw, dict) and raw.get("file") != without:
                archive.writestr(str(raw.get("file")), b"")
    return {item.file: item for item in read_radiographs(folder).radiographs}


def told(item: Radiograph) -> tuple[list[str], list[str]]:
    return sorted(item.labels), sorted(item.known)


def labelled(file: str, source: str, *labels: str, **more: str) -> dict[str, Any]:
    return {"file": file, "source": source, "labels": list(labels), **more}


def test_a_collection_knows_its_own_labels_and_no_others(tmp_path: Path) -> None:
    seen = radiographs(
        tmp_path,
        [
            labelled("a", "NIH (one copy)", "Effusion", patient="p1"),
            labelled("b", "NIH at 64 px (another)", "No Finding"),
            labelled("c", "NIH (one copy)", "Atelectasis", "Effusion"),
            labelled("d", "NIH (one copy)"),
            labelled("e", "Children", "PNEUMONIA", "virus"),
            labelled("f", "Children", "NORMAL"),
            labelled("g", "Covid", "COVID-19"),
        ],
    )
    assert told(seen["a"]) == (["Pleural Effusion", "abnormal"], NIH)
    assert told(seen["b"]) == ([], NIH)
    assert (seen["a"].patient, seen["b"].patient) == ("p1", "b")
    assert told(seen["c"]) == (NIH, NIH)
    assert told(seen["d"]) == ([], [])
    assert told(seen["e"]) == (["Pneumonia", "abnormal"], ["Pneumonia", "abnormal"])
    assert told(seen["f"]) == ([], ["Pneumonia", "abnormal"])
    assert told(seen["g"]) == ([], [])


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    records = [labelled("a", "NIH"), labelled("gone", "NIH"), {"file": "b"}, 3]
    with pytest.raises(UsageError, match=r"not in images\.zip: gone; .* no 'source'.*: 2; .* no 'file'.*: 3"):
        radiographs(tmp_path, records, without="gone")
    with pytest.raises(UsageError, match="name a folder with labels"):
        read_radiographs(tmp_path / "nowhere")
