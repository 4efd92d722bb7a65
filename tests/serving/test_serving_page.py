"""The page in a real browser: a picture in, bars and overlay out, errors in words."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from components.labels import CLASSES

pytestmark = pytest.mark.browser
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        pytest.skip("there is no Chromium on the path")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


@pytest.fixture(params=[("light", 1100), ("dark", 400)], ids=["light, wide", "dark, phone"])
def page(browser: Browser, served, request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme, width = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(served.url)
    yield page
    page.close()
    assert [line for line in said if "415" not in line] == []  # Chromium tells of every refused request itself


def test_a_picture_gives_bars_an_overlay_and_the_models_name(page: Page) -> None:
    page.set_input_files("#file", PORTRAIT)
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#word") in CLASSES
    assert page.locator("#bars li").count() == len(CLASSES)
    assert page.evaluate("document.getElementById('heat').naturalWidth") > 48
    assert "version 1" in page.inner_text("#model")
    page.locator("#strength").fill("0")
    assert page.evaluate("document.getElementById('heat').style.opacity") == "0"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_no_picture_is_told_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture at all")
    page.set_input_files("#file", tmp_path / "notes.txt")
    page.wait_for_function("document.getElementById('said').textContent.includes('no picture')")
    assert page.locator("#result").is_hidden()


def test_a_keyboard_reaches_the_picker_first(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
