"""Pseudonyms join equal values, hide them, and never mix two keys."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from worker.pseudonyms import Pseudonyms, load_key


def test_equal_values_join_and_different_kinds_do_not() -> None:
    name = Pseudonyms(key=b"k")
    assert name("patient_id", "4711") == name("patient_id", "4711")
    assert name("patient_id", "4711") != name("accession_number", "4711")
    assert "4711" not in name("patient_id", "4711")


def test_another_key_gives_other_pseudonyms_and_another_fingerprint() -> None:
    one, two = Pseudonyms(key=b"1"), Pseudonyms(key=b"2")
    assert one("patient_id", "x") != two("patient_id", "x")
    assert one.fingerprint != two.fingerprint


def test_an_absent_value_stays_absent_and_clear_text_stays_clear() -> None:
    assert Pseudonyms(key=b"k")("patient_id", "") == ""
    assert Pseudonyms(key=b"")("patient_id", "4711") == "4711"


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "home" / "pseudonym.key"
    key = load_key("", file)
    assert load_key("", file) == key
    assert len(key) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_an_emptied_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pseudonym.key"
    file.touch()
    with pytest.raises(UsageError, match="is empty; restore it"):
        load_key("", file)
