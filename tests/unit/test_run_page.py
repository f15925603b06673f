"""The run page tells what happened, adds up, and lets nothing in or out that it should not."""

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.exports.run_page import DRAFT_NOTICE, PageLook, PageReason, PageStudy, PageView, RunPage, render
from pipeline.exports.run_page_format import decimal, when
from pipeline.exports.run_page_plot import plot, spell
from tests.run_pages import START, sample_page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7*7 }}"


def written(page: RunPage) -> str:
    out = io.StringIO()
    render(page, out)
    return out.getvalue()


def of_studies(*studies: PageStudy) -> RunPage:
    return replace(sample_page(reports=1, size=16), studies=studies, studies_shown=len(studies))


@pytest.fixture(scope="module")
def html() -> str:
    return written(sample_page(reports=4, size=32))


def test_hostile_text_stays_text() -> None:
    study = PageStudy(
        study_id=1,
        state="failed",
        reason=HOSTILE,
        description=HOSTILE,
        views=(PageView(label=HOSTILE, thumbnail=np.zeros((4, 4), np.uint8), notes=(HOSTILE,)),),
    )
    page = replace(of_studies(study), source=HOSTILE, code_version=HOSTILE)
    reasons = (PageReason(state="failed", reason=HOSTILE, count=2),)
    text = written(replace(page, balance=replace(page.balance, study_reasons=reasons)))
    assert text.count("<script") == 1
    assert "<img src=x" not in text
    assert "49" not in re.findall(r"onerror=alert\(2\)&gt;&#34;&#39; (.*?) ?[<\"\n]", text)
    assert text.count("{{ 7*7 }}") >= 6


def test_the_page_forbids_itself_to_load_or_run_anything_else(html: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "script-src 'sha256-" in policy[1]


def test_nothing_is_fetched(html: str) -> None:
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"']?\s*(https?:)?//", html)
    assert "@import" not in html
    assert "url(" not in html
    assert set(re.findall(r'(?:src|href)="(data:image/jpeg|#)', html)) == {"data:image/jpeg", "#"}


def test_clear_text_shows_only_when_the_caller_passes_it(html: str) -> None:
    clear = written(sample_page(reports=4, size=16, clear_text=True))
    for identifying in ("2.25.3307181", "22 November 2026", "Chest two views"):
        assert identifying in clear
        assert identifying not in html


@pytest.mark.parametrize("ledger", ["Objects", "Studies"])
def test_the_balance_adds_up(html: str, ledger: str) -> None:
    table = re.search(rf"<caption>{ledger}</caption>(.*?)</table>", html, re.DOTALL)
    assert table
    body, total = table[1].split("<tfoot>")
    states = [int(n) for n in re.findall(r'<tr class="(?!why)\w+">.*?<td>(\d+)</td>', body)]
    assert sum(states) == int(re.findall(r"<td>(\d+)</td>", total)[0])
    for group in body.split("<tbody>")[1:]:
        state, *reasons = (int(n) for n in re.findall(r"<td>(\d+)</td>", group))
        assert not reasons or sum(reasons) == state


def test_what_no_reason_accounts_for_is_said() -> None:
    page = of_studies()
    balance = replace(page.balance, study_reasons=(PageReason(state="skipped", reason="SR only", count=1),))
    assert "no reason recorded</th><td>2</td>" in written(replace(page, balance=balance))


def test_many_reasons_are_summed_up() -> None:
    page = of_studies()
    reasons = tuple(PageReason(state="failed", reason=f"reason {n}", count=1) for n in range(40))
    balance = replace(page.balance, objects={"failed": 40}, object_reasons=reasons)
    assert "28 further reasons</th><td>28</td>" in written(replace(page, balance=balance))


def test_failures_come_first_and_reports_last(html: str) -> None:
    assert re.findall(r'class="group (\w+)"', html) == ["failed", "skipped", "waiting", "reported"]


def test_studies_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="failed came late"):
        written(of_studies(PageStudy(study_id=1, state="reported"), PageStudy(study_id=2, state="failed")))


def test_every_report_says_that_it_is_a_draft(html: str) -> None:
    for article in re.findall(r'<article class="study reported".*?</article>', html, re.DOTALL):
        assert DRAFT_NOTICE in article
    assert html.index(DRAFT_NOTICE) < html.index("<h1>")


def test_the_models_own_warning_is_shown(html: str) -> None:
    assert "for research only" in html


def test_pictures_of_looks_say_what_they_are_and_keep_their_colours() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 0] = 200
    look = PageLook(sentence=HOSTILE, label="Cardiomegaly", pictures={"lateral": picture})
    text = written(of_studies(PageStudy(study_id=5, state="reported", findings="a", looks=(look,))))
    assert "Draft, not a diagnosis: where the model looked" in text
    assert text.count("<script") == 1
    (shown,) = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)"[^>]* alt="Study 5, lateral view: where', text
    )
    with Image.open(io.BytesIO(base64.b64decode(shown))) as image:
        red, _, blue = np.asarray(image.convert("RGB"))[4, 4]
    assert red > 150
    assert blue < 50


def test_without_overlays_nothing_is_said_of_looking() -> None:
    text = written(of_studies(PageStudy(study_id=5, state="reported", findings="a")))
    assert "where the model looked" not in text


def test_a_part_says_that_it_is_one() -> None:
    assert "7 of 2,000 studies shown; the rest is in SQL." in written(sample_page(reports=1, size=16, total=2000))


def test_studies_are_written_as_they_come() -> None:
    read: list[int] = []

    def studies() -> Iterator[PageStudy]:
        for n in range(50):
            read.append(n)
            yield PageStudy(study_id=n, state="reported", impression="Clear.")

    class Out(io.StringIO):
        def writelines(self, lines: object) -> None:
            for line in lines:  # type: ignore[attr-defined]
                for number in re.findall(r"Study (\d+)</h4>", line):
                    assert len(read) <= int(number) + 2
                self.write(line)

    render(replace(of_studies(), studies=studies()), Out())
    assert len(read) == 50


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    render(of_studies(), path)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(KeyError):
        render(of_studies(PageStudy(study_id=1, state="no such state")), path)
    assert path.read_text(encoding="utf-8") == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.html"]


def test_a_large_view_becomes_a_small_picture() -> None:
    rng = np.random.default_rng(0)
    view = PageView(label="frontal", thumbnail=rng.integers(0, 255, (900, 600), dtype=np.uint8))
    assert len(written(of_studies(PageStudy(study_id=1, state="reported", views=(view,))))) < 140_000


def test_a_run_without_work_has_no_plot() -> None:
    assert plot([]) is None
    assert plot([(0.0, 0)]) is None
    assert "No study was worked on" in written(replace(of_studies(), throughput=()))


def test_the_plot_covers_the_run_and_its_rates_sum_to_it() -> None:
    drawn = plot([(n * 10.0, n * 5) for n in range(61)])
    assert drawn
    assert (drawn.time_unit, drawn.rate_unit) == ("minutes", "per minute")
    assert drawn.sentence == "300 studies done in 10 min 0 s, 30 per minute on average."
    assert [tick.label for tick in drawn.done_ticks] == ["0", "100", "200", "300"]
    assert drawn.line.startswith("M64.0 166.0L")
    assert drawn.line.endswith("L708.0 20.0")
    assert len({round(bar.height, 6) for bar in drawn.bars}) == 1


def test_a_run_that_finished_nothing_still_has_a_plot() -> None:
    drawn = plot([(30.0, 0)])
    assert drawn
    assert drawn.done == 0
    assert drawn.rate_unit == "per hour"


@pytest.mark.parametrize(("seconds", "said"), [(7.4, "7 s"), (412, "6 min 52 s"), (12_000, "3 h 20 min")])
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert spell(seconds) == said


def test_times_and_numbers_are_for_people() -> None:
    assert when(START) == "23 November 2026, 22:04 UTC"
    assert when(START + timedelta(hours=1), after=START) == "23:04 UTC"
    assert when(START + timedelta(hours=2), after=START) == "24 November 2026, 00:04 UTC"
    assert decimal(-0.314) == "−0.31"


def test_a_key_that_is_no_unicode_can_still_be_written(tmp_path: Path) -> None:
    render(of_studies(PageStudy(study_id=1, state="failed", reason="odd key \udcff")), tmp_path / "run.html")
    assert "odd key \\udcff" in (tmp_path / "run.html").read_text(encoding="utf-8")
