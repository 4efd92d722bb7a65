"""The page in a real browser: a picture in, bars and overlay out, errors in words."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Route, sync_playwright

import serving
from components.labels import CLASSES
from serving.access import Keys

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


def serious(page: Page) -> list[str]:
    """What axe-core finds that shuts somebody out."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['help']}" for v in found if v["impact"] in ("serious", "critical")]


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


def test_a_drawn_face_is_tried_with_a_click_and_its_answer_corrected(page: Page, served) -> None:
    page.wait_for_selector("#samples:not([hidden])")
    assert page.locator("#samples button").count() == len(CLASSES)
    page.locator("#samples button").nth(3).click()
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#faces").is_hidden()
    assert page.locator("#right option").all_inner_texts()[1:] == list(CLASSES)
    page.select_option("#right", "fear")
    page.click("#truth button")
    page.wait_for_function("document.getElementById('told').textContent.includes('noted as fear')")
    id = page.evaluate("shown.id")
    assert served.journal.spool.label(id) == CLASSES.index("fear")
    assert serious(page) == []


def test_each_of_several_faces_has_its_box(page: Page, tmp_path: Path) -> None:
    one = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    Image.fromarray(np.hstack([one, one[:, ::-1]])).save(tmp_path / "two.jpg")
    page.set_input_files("#file", tmp_path / "two.jpg")
    page.wait_for_selector("#faces:not([hidden])")
    boxes = page.locator("#crowd button")
    assert boxes.count() == 2
    first = page.evaluate("shown.id")
    boxes.nth(1).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("shown.id") != first
    assert [boxes.nth(k).get_attribute("aria-pressed") for k in range(2)] == ["false", "true"]
    picture = page.locator("#crowd img").bounding_box()
    assert picture is not None
    for k in range(2):
        box = boxes.nth(k).bounding_box()
        assert box is not None
        assert picture["x"] <= box["x"] < box["x"] + box["width"] <= picture["x"] + picture["width"] + 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious(page) == []


def test_a_key_is_asked_for_where_one_is_needed(browser: Browser, tmp_path: Path, packages, open_shelf, start) -> None:
    open_shelf(tmp_path / "home").promote(packages["first"])
    token = Keys(tmp_path / "keys.json").add("anna", 1000)
    with start(tmp_path, FERLINE_SERVE_KEYS=str(tmp_path / "keys.json")) as service:
        page = browser.new_page()
        page.goto(service.url)
        page.wait_for_selector("#key:not([hidden])")
        page.fill("#token", "wrong")
        page.click("#key button")
        page.wait_for_function("document.getElementById('said').textContent.includes('not known')")
        page.fill("#token", token)
        page.click("#key button")
        page.wait_for_selector("#samples:not([hidden])")
        assert page.locator("#key").is_hidden()
        page.locator("#samples button").first.click()
        page.wait_for_selector("#result:not([hidden])")
        assert serious(page) == []
        page.close()


def test_what_is_no_picture_is_told_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture at all")
    page.set_input_files("#file", tmp_path / "notes.txt")
    page.wait_for_function("document.getElementById('said').textContent.includes('no picture')")
    assert page.locator("#result").is_hidden()


def answered_by(browser: Browser, explain: Callable[[Route], None]) -> Page:
    """The page before a service that does as it is told."""
    model = {
        "model": {"name": "m", "version": "1"},
        "preset": "quick",
        "metrics": {"macro_f1": 0.5},
        "registered_at": "",
    }

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/":
            route.fulfill(path=Path(serving.__file__).with_name("page.html"))
        elif path == "/explain":
            explain(route)
        else:
            route.fulfill(json=model if path == "/model" else [])

    page = browser.new_page()
    page.route("http://service.test/**", answer)
    page.goto("http://service.test/")
    page.wait_for_selector("#samples:not([hidden])")
    return page


def answer_with(route: Route, id: str) -> None:
    face = {"left": 0, "top": 0, "width": 48, "height": 48}
    found = {"id": id, "class": "happy", "confidence": 1.0, "uncertain": False, "probabilities": {"happy": 1.0}}
    route.fulfill(json={"answers": [{**found, "face": face}]})


@pytest.mark.parametrize("ending", ["answered", "failed"])
def test_what_comes_late_does_not_replace_a_newer_answer(browser: Browser, tmp_path: Path, ending: str) -> None:
    asked: list[Route] = []
    page = answered_by(browser, asked.append)
    newer = shutil.copy(PORTRAIT, tmp_path / "newer.jpg")  # the same file again is no change to Chromium
    for number, file in enumerate((PORTRAIT, newer), 1):
        page.set_input_files("#file", file)
        while len(asked) < number:
            page.wait_for_timeout(20)
    answer_with(asked[1], "newer")
    page.wait_for_selector("#result:not([hidden])")
    if ending == "answered":
        answer_with(asked[0], "older")
    else:
        asked[0].abort()
    page.wait_for_timeout(500)  # time enough to be shown, if it were
    assert page.evaluate("shown.id") == "newer"
    assert page.inner_text("#said") == ""
    page.close()


def test_a_proxys_error_is_told_in_words(browser: Browser) -> None:
    page = answered_by(browser, lambda route: route.fulfill(status=502, content_type="text/html", body="<html></html>"))
    page.set_input_files("#file", PORTRAIT)
    page.wait_for_function("document.getElementById('said').className === 'warn'")
    assert "status 502" in page.inner_text("#said")
    assert "token" not in page.inner_text("#said")
    page.close()


def test_a_keyboard_reaches_the_picker_first(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
