"""The decoder matrix: every syntax that is read is in it, and a decoder that errs is found."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline import decoders
from pipeline.codecs import DECODED, NATIVE
from pipeline.decoders import MATRIX, check_decoders, read_samples
from worker.cli import main
from worker.decoder_view import summary


def test_every_syntax_that_is_read_is_tested_and_works() -> None:
    checks = check_decoders()
    assert {check.uid for check in checks} == set(MATRIX) == DECODED
    assert set(read_samples()) == DECODED - NATIVE
    assert [check for check in checks if not check.works] == []
    assert all(check.version and check.licence for check in checks)


def test_a_decoder_that_gives_another_image_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = read_samples()
    bits, frame = samples["1.2.840.10008.1.2.4.81"]
    cut = {**samples, "1.2.840.10008.1.2.4.51": (bits, frame[:-2])}
    monkeypatch.setattr(decoders, "sample_image", _upside_down)
    monkeypatch.setattr(decoders, "read_samples", lambda: cut)
    problems = {check.name: check.problem for check in check_decoders() if not check.works}
    assert problems["JPEG extended, 12 bits"] == "JPEG-LS codestream truncated: no end marker in the last 16 bytes"
    assert problems["JPEG 2000 lossless"].startswith("wrong by up to ")
    assert "explicit little endian" not in problems  # uncompressed: written from the same image


def _upside_down(bits: int, drawn: Callable[[int], Any] = decoders.sample_image) -> Any:
    return drawn(bits)[::-1].copy()


def test_a_decoder_that_was_not_built_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_frame: bytes) -> None:
        raise ImportError("jpegls codec is not available")

    monkeypatch.setattr("imagecodecs.jpegls_decode", missing)
    problems = {check.name: check.problem for check in check_decoders() if not check.works}
    assert problems == dict.fromkeys(
        ("JPEG-LS lossless", "JPEG-LS near-lossless"), "jpegls codec is not available"
    )


def test_the_matrix_is_printed_whole_for_people_and_machines() -> None:
    for_people = CliRunner().invoke(main, ["doctor", "--decoders"])
    assert for_people.exit_code == 0
    assert all(uid in for_people.stdout.split() for uid in MATRIX)
    for_machines = CliRunner().invoke(main, ["doctor", "--decoders", "--json"])
    assert {row["uid"] for row in json.loads(for_machines.stdout)} == set(MATRIX)


def test_the_listing_of_all_checks_names_each_library_once() -> None:
    line = summary(check_decoders())
    assert line.startswith(f"{len(MATRIX)} transfer syntaxes decode their samples: NumPy ")
    assert line.count("OpenJPEG") == 1
