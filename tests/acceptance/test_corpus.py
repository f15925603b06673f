"""Real DICOM files that nobody here wrote go through `run`: none crashes it, each ends with a reason."""

import json

import pytest

from tests.night import DATA, Night

CORPUS = DATA / "dicom"
# Every human chest radiograph there with its pixels intact, by eye.
CHESTS = (
    "0c92b98d_966_fixed.dcm",
    "e04e2bdd_RG1_JLSN.dcm",
    "744d0137_RG1_J2KI.dcm",
    "27076d1b_JPEG2KLossless_1s_1f_u_16_16.dcm",
)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus of real DICOM files at {CORPUS}; set NIGHTREAD_TEST_DATA")
    night = Night(home=tmp_path_factory.mktemp("corpus") / "home", source=CORPUS)
    night.run(expect=(1,))
    return night


def test_every_object_ends_with_an_outcome_and_a_reason(night: Night) -> None:
    listed = sum(1 for file in CORPUS.rglob("*") if file.is_file())
    balance = json.loads(night.call("status", "--json").stdout)["balance"]
    assert balance["objects"]["waiting"] == 0
    assert sum(balance["objects"].values()) == listed
    assert balance["studies"]["waiting"] == balance["studies"]["working"] == 0
    unexplained = night.query("SELECT id FROM object WHERE state != 'converted' AND coalesce(reason, '') = ''")
    assert unexplained == []


@pytest.mark.parametrize("name", CHESTS)
def test_every_real_chest_radiograph_has_a_report(night: Night, name: str) -> None:
    rows = night.query(
        "SELECT report.findings, report.impression FROM object"
        " JOIN instance ON instance.object_id = object.id JOIN report ON report.study_id = instance.study_id"
        f" WHERE object.\"key\" LIKE '%{name}' AND object.state = 'converted' AND report.status = 'draft'"
    )
    assert len(rows) == 1  # two of them are the same image in two transfer syntaxes: one study, one report
    assert all(rows[0])
