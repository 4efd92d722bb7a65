"""The run's page, made from a model that was really trained, judged and validated."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from components.balancing import Sample, select
from components.dataset import Dataset
from components.evaluation.evaluate import evaluate
from components.gate import EvaluatedModel, GatePolicy, decide
from components.labels import CLASSES
from components.report import ModelRun, RunRecord, write_report
from components.report.build import SECTIONS
from components.training.recipes import load_preset, tiny
from components.training.train import Job, train
from components.validation import ValidationPolicy, validate

NAME = '<b id="ada">Ada & co</b>'
WRITTEN = "2026-11-24T22:53:44+00:00"


class Page(HTMLParser):
    """Elements with their attributes, and the text outside style."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def record(tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    folder = tmp_path_factory.mktemp("page")
    recipe = tiny(load_preset("compact"))
    run = folder / "run"
    summary = train(Job(NAME, recipe, tiny_dataset.root, run), say=lambda _: None)
    evaluation = evaluate(run / "model.onnx", tiny_dataset, "PublicTest", folder / "figures", NAME, summary.temperature)
    predictions = pd.read_parquet(folder / "figures" / "predictions.parquet")
    judged = EvaluatedModel(NAME, None, summary.model_sha256, evaluation, predictions)
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return RunRecord(
        title=f"train-pipeline on {NAME}",
        verdict="The gate rejected the challenger.",
        written=WRITTEN,
        dataset=tiny_dataset,
        validation=validate(tiny_dataset, ValidationPolicy(), folder / "validation"),
        selection=select(tiny_dataset, recipe.data),
        sample=Sample.load(run / "sample.npz"),
        runs=[ModelRun(NAME, summary, epochs, evaluation, predictions, run / "model.onnx")],
        decision=decide(judged, None, GatePolicy(), WRITTEN),
        champion="",
        provenance={"dataset": str(tiny_dataset.root), "name": NAME},
    )


@pytest.fixture(scope="module")
def written(record: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "report.html"
    write_report(record, path)
    return path


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written)


def test_the_page_has_every_section_and_leads_to_it(page: Page) -> None:
    headings = {heading["id"] for heading in page.all("h2")}
    links = {link["href"] for link in page.all("a")}
    assert headings == {anchor for anchor, _ in SECTIONS}
    assert links >= {f"#{anchor}" for anchor in headings}


def test_the_page_fetches_nothing_and_runs_nothing(page: Page) -> None:
    fetched = [
        (attributes.get(name) or "")
        for tag, attributes in page.elements
        for name in ("src", "srcset", "data", "poster", "action", *(("href", "xlink:href") if tag != "a" else ()))
        if name in attributes
    ]
    assert fetched
    assert [address[:60] for address in fetched if not address.startswith(("data:", "#"))] == []
    assert re.findall(r"@import|url\((?!['\"]?(?:#|data:))", page.source) == []
    assert page.all("script") == []


def test_names_are_text_and_never_markup(page: Page) -> None:
    assert "ada" not in [attributes.get("id") for _, attributes in page.elements]
    assert page.text.count(NAME) >= 5


def test_every_class_has_a_sheet_and_stands_in_fer2013_order(page: Page, record: RunRecord) -> None:
    sheets = [image["alt"] for image in page.all("img")][: len(CLASSES)]
    assert sheets == [f"faces labelled {name}" for name in CLASSES]
    confusion = re.search(r'<table class="matrix">(.*?)</table>', page.source, re.DOTALL)
    assert confusion
    assert re.findall(r"<th>(\w+)</th>", confusion[1]) == list(CLASSES)
    assert re.findall(r"<tr><td>(\w+)</td>", confusion[1]) == list(CLASSES)
    shown = [int(n) for n in re.findall(r'title="(\d+) images"', confusion[1])]
    assert shown == [n for row in record.runs[0].evaluation.confusion for n in row]


def test_counts_before_and_after_balancing_are_the_samples_own(page: Page, record: RunRecord) -> None:
    labels = record.dataset.labels[record.sample.train]
    for label, name in enumerate(CLASSES):
        before, after = record.dataset.info.counts["Training"][name], record.sample.weights[labels == label].sum()
        assert f"<tr><td>{name}</td><td>{before}</td><td>{after:.0f}</td>" in page.source


def test_every_finding_and_every_rule_is_told_in_words(page: Page, record: RunRecord) -> None:
    assert record.decision
    told = [finding.detail for finding in record.validation.findings] + [rule.detail for rule in record.decision.rules]
    assert [detail for detail in told if detail not in page.text] == []


def test_every_picture_says_what_it_shows(page: Page) -> None:
    assert all(image["alt"] for image in page.all("img"))
    assert [drawing["role"] for drawing in page.all("svg") if drawing["aria-label"]] == ["img", "img"]
    assert sum((image["alt"] or "").startswith("the same face under its rollout") for image in page.all("img")) >= 7


def test_no_two_elements_share_an_id(page: Page) -> None:
    ids = [str(attributes["id"]) for tag, attributes in page.elements if "id" in attributes and tag != "path"]
    assert sorted(ids) == sorted(set(ids))


def test_a_run_without_attention_and_without_a_gate_says_so(record: RunRecord, tmp_path: Path) -> None:
    plain = [replace(run, summary=replace(run.summary, has_rollout=False)) for run in record.runs]
    write_report(replace(record, runs=plain, decision=None), tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert {heading["id"] for heading in page.all("h2")} == {anchor for anchor, _ in SECTIONS}
    assert "No model of this run has attention" in page.text
    assert "The gate was not asked" in page.text


def test_the_samplers_draws_are_counted_by_their_weights(record: RunRecord, tmp_path: Path) -> None:
    labels = record.dataset.labels[record.sample.train]
    share = pd.Series(labels).map(1 / pd.Series(labels).value_counts()).to_numpy()
    even = replace(record, sample=replace(record.sample, weights=share / share.mean()))
    write_report(even, tmp_path / "report.html")
    rows = re.findall(r"<tr><td>\w+</td><td>\d+</td><td>(\d+)</td>\n<td><span", (tmp_path / "report.html").read_text())
    assert len(rows) == len(CLASSES)
    assert set(rows) == {str(round(len(labels) / len(CLASSES)))}


@pytest.mark.browser
def test_on_a_phone_nothing_sticks_out_and_the_console_stays_quiet(written: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        pytest.skip("there is no Chromium on the path")
    asked = "<script>onload = () => console.log(`wide ${innerWidth} ${document.documentElement.scrollWidth}`)</script>"
    inside = html.escape(written.read_text(encoding="utf-8") + asked)
    phone = tmp_path / "phone.html"  # a frame, because Chromium makes no window narrower than 500 pixels
    phone.write_text(f'<meta charset="utf-8"><iframe width="400" style="border: 0" srcdoc="{inside}">', "utf-8")
    quiet = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
    done = subprocess.run(
        [browser, "--headless", *(f"--{flag}" for flag in quiet.split()), "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars",
         "--enable-logging=stderr", f"--screenshot={tmp_path / 'page.png'}", phone.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = [line.split('"')[1] for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert said == ["wide 400 400"]
