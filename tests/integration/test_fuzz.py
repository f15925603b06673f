"""500 changed files: none ends its process, hangs, takes memory without bound or has a name told in a reason."""

import pytest

from pipeline.study import Header, Refused
from tests.fuzz import campaign
from tests.fuzz.inputs import CANARY, built, seeds
from tests.fuzz.mutations import mutate

INPUTS = 500


@pytest.fixture(scope="module")
def found() -> campaign.Found:
    return campaign.run(0, INPUTS)


def test_nothing_is_found(found: campaign.Found) -> None:
    assert found.faults == []
    assert found.inputs == INPUTS


def test_the_inputs_reach_all_of_the_reader(found: campaign.Found) -> None:
    assert set(found.outcomes) == {"converted", "failed", "skipped"}
    assert found.outcomes["converted"] > INPUTS / 20
    assert found.outcomes["failed"] > INPUTS / 5


def test_no_input_costs_much(found: campaign.Found) -> None:
    assert found.slowest_ms < 1000 * campaign.CPU_SECONDS
    assert found.growth_mb < campaign.MEMORY / 1e6


def test_the_same_number_is_the_same_input() -> None:
    begun_with = seeds()
    assert mutate(7, begun_with) == mutate(7, begun_with)
    assert mutate(7, begun_with) != mutate(8, begun_with)


def test_every_built_seed_names_the_patient() -> None:
    inflated = [content for content in built() if b"1.2.840.10008.1.2.1.99" not in content]
    assert all(CANARY.encode() in content for content in inflated)


def test_a_campaign_finds_what_is_there_to_be_found() -> None:
    header = Header(
        sop_instance_uid="1",
        sop_class_uid="1",
        study_instance_uid="1",
        series_instance_uid="1",
        transfer_syntax_uid="1",
        modality="DX",
        rows=2**31,
    )
    faults = campaign.judge(Refused(failed=True, reason=f"{CANARY} is wrong", header=header))
    assert faults == ["a reason quotes the header", "rows is larger than a number in SQL"]
    assert campaign.judge(Refused(failed=True, reason="")) == ["no reason"]


def test_a_campaign_survives_a_process_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = iter([(3, -11), (10, 0)])

    class Child:
        """Says that it began an input, and ends."""

        def __init__(self, *_: object, **__: object) -> None:
            self.number, self.returncode = next(begun)

        def communicate(self) -> tuple[str, str]:
            return f'{{"begun": {self.number}}}\n', ""

    monkeypatch.setattr("tests.fuzz.campaign.subprocess.Popen", Child)
    found = campaign.run(0, 11)
    assert found.faults == ["3: ended its process with SIGSEGV"]
