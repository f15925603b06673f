"""The run page in a real browser: it loads alone, fits every screen and paper, and its filter works.

Needs Chromium and its driver (`tests/services/install`). Where they are absent the tests skip, in CI they fail.
"""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from pipeline.exports.run_page import DRAFT_NOTICE, render
from tests.run_pages import sample_page

REPORTS = 12
STUDIES = REPORTS + 6  # the sample's failed, skipped and waiting ones
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
WIDTHS = pytest.mark.parametrize("width", [1280, 768, 390])


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "run.html"
    render(sample_page(reports=REPORTS, size=160, total=2000), path)
    return path


def _programs() -> tuple[str, str]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    missing = "chromium or chromedriver is not installed: run tests/services/install"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    browser, driver = _programs()
    options = ChromeOptions()
    options.binary_location = browser
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


def load(chrome: Chrome, page_file: Path, width: int = 1280, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    chrome.get(page_file.as_uri())


def ask(chrome: Chrome, script: str) -> Any:
    return chrome.execute_script(f"return {script}")


def visible_studies(chrome: Chrome) -> int:
    return int(ask(chrome, "[...document.querySelectorAll('.study')].filter((s) => s.offsetHeight > 0).length"))


def test_it_loads_alone_and_without_a_complaint(chrome: Chrome, page_file: Path) -> None:
    chrome.get_log("performance")  # type: ignore[no-untyped-call]
    load(chrome, page_file)
    events = [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:image/jpeg")] == [page_file.as_uri()]
    assert chrome.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_every_picture_is_decoded_and_described(chrome: Chrome, page_file: Path) -> None:
    load(chrome, page_file)
    pictures = ask(chrome, "[...document.images].map((i) => [i.naturalWidth, i.alt, i.complete])")
    assert len(pictures) > REPORTS
    assert all(width == 160 and alt and complete for width, alt, complete in pictures)
    assert ask(chrome, "document.querySelector('.plot svg').getAttribute('aria-label')")


@WIDTHS
def test_nothing_is_wider_than_the_screen(chrome: Chrome, page_file: Path, width: int) -> None:
    load(chrome, page_file, width)
    for details in chrome.find_elements(By.TAG_NAME, "details"):
        chrome.execute_script("arguments[0].open = true", details)
    assert ask(chrome, "document.documentElement.scrollWidth") <= width
    right = "e.getBoundingClientRect().right"
    assert ask(chrome, f"[...document.querySelectorAll('main *')].filter((e) => {right} > innerWidth + 1)") == []


def test_the_words_of_the_plot_can_be_read_on_a_phone(chrome: Chrome, page_file: Path) -> None:
    load(chrome, page_file, 390)
    heights = ask(
        chrome, "[...document.querySelectorAll('.plot text')].map((t) => t.getBoundingClientRect().height)"
    )
    assert min(height for height in heights if height) > 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(chrome: Chrome, page_file: Path, scheme: str) -> None:
    load(chrome, page_file, scheme=scheme)
    ratios = ask(chrome, CONTRASTS)
    assert len(ratios) > 50
    assert min(ratios) >= 4.5  # WCAG 2 AA


def test_search_and_state_narrow_the_studies(chrome: Chrome, page_file: Path) -> None:
    load(chrome, page_file)
    words = chrome.find_element(By.ID, "words")
    assert visible_studies(chrome) == STUDIES
    words.send_keys("TRUNCATED codestream")
    assert visible_studies(chrome) == 1
    assert chrome.find_element(By.ID, "matches").text == f"1 of {STUDIES}"
    words.clear()
    words.send_keys("no such words")
    assert visible_studies(chrome) == 0
    assert chrome.find_element(By.ID, "nothing").is_displayed()
    words.clear()
    for state, number in (("failed", 2), ("skipped", 3), ("waiting", 1), ("reported", REPORTS), ("", STUDIES)):
        chrome.find_element(By.CSS_SELECTOR, f"input[value='{state}'] + span").click()
        assert visible_studies(chrome) == number
    assert chrome.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_without_scripts_all_is_there_but_the_filter(chrome: Chrome, page_file: Path) -> None:
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    load(chrome, page_file)
    try:
        assert len(chrome.find_elements(By.CSS_SELECTOR, ".study")) == STUDIES
        assert not chrome.find_element(By.ID, "filter").is_displayed()
    finally:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_paper_holds_every_study_whole(chrome: Chrome, page_file: Path) -> None:
    load(chrome, page_file)
    titles = [title.text for title in chrome.find_elements(By.TAG_NAME, "h4")]
    printed = chrome.execute_cdp_cmd(
        "Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69, "generateDocumentOutline": True}
    )
    pdf = base64.b64decode(printed["data"])
    assert len(titles) == STUDIES
    assert [title for title in titles if f"({title})".encode() not in pdf] == []
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert not chrome.find_element(By.ID, "filter").is_displayed()
    assert chrome.find_element(By.CSS_SELECTOR, ".plot svg").size["height"] > 100
    broken = ask(
        chrome, "[...document.querySelectorAll('.study, .plot')].map((s) => getComputedStyle(s).breakInside)"
    )
    assert set(broken) == {"avoid"}
    inputs = ask(chrome, "[...document.querySelectorAll('.inputs li')].map((i) => i.offsetHeight)")
    assert min(inputs) > 0


def test_every_report_is_marked_as_a_draft(chrome: Chrome, page_file: Path) -> None:
    load(chrome, page_file)
    marks = chrome.find_elements(By.CSS_SELECTOR, ".study.reported > header .draft")
    assert [mark.text for mark in marks] == [DRAFT_NOTICE] * REPORTS


CONTRASTS = """(() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => v / 255).map(
    (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } };
  const texts = [...document.querySelectorAll('body *')].filter((e) => !e.closest('svg, script') &&
    e.offsetHeight > 0 && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()));
  return texts.map((e) => { const a = light(parse(getComputedStyle(e).color)), b = light(ground(e).slice(0, 3));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
})()"""
