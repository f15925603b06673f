"""Settings come from options, then the environment, then defaults; wrong ones are told all at once."""

import pytest

from pipeline.errors import UsageError
from worker.settings import load_settings, unknown_variables


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_BATCH_SIZE", "4")
    assert load_settings({"batch_size": None}).batch_size == 4
    assert load_settings({"batch_size": 8}).batch_size == 8


def test_the_embedded_database_and_the_views_lie_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_HOME", "/srv/night")
    settings = load_settings()
    assert settings.database == "sqlite:////srv/night/nightread.db"
    assert settings.views == "/srv/night/views"


def test_every_wrong_value_is_told_at_once_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_BATCH_SIZE", "many")
    monkeypatch.setenv("NIGHTREAD_DEVICE", "tpu")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert "NIGHTREAD_BATCH_SIZE='many'" in str(caught.value)
    assert "NIGHTREAD_DEVICE='tpu'" in str(caught.value)


def test_a_wrong_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_PSEUDONYM_KEY", "open sesame")
    assert "open sesame" not in repr(load_settings())


def test_a_misspelt_variable_is_told_with_the_likely_name() -> None:
    (line,) = unknown_variables({"NIGHTREAD_DATABSE_URL": "x", "NIGHTREAD_TEST_DATA": "y", "HOME": "/"})
    assert line == "NIGHTREAD_DATABSE_URL sets nothing; did you mean NIGHTREAD_DATABASE_URL?"


def test_views_with_their_text_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREAD_MASK_TEXT", "off")
    monkeypatch.setenv("NIGHTREAD_CACHE", "s3://site/views/")
    assert load_settings().views == "s3://site/views/unmasked"
    monkeypatch.setenv("NIGHTREAD_MASK_TEXT", "on")
    assert load_settings().views == "s3://site/views/"
