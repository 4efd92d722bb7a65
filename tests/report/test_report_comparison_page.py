"""What a comparison's folder holds: record, page, text and pictures."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.dataset import Dataset
from components.labels import CLASSES
from components.report.comparison import Contest, compare
from components.report.comparison_page import SIGNED, faceless, write_comparison
from components.report.comparison_pictures import draw, examples
from tests.report.contests import NAMES, hold


def test_examples_are_those_on_which_most_models_agree_most_clearly() -> None:
    labels = np.array([0, 0, 0, 1])
    given = np.full((2, 4, 7), 0.05)
    given[0, :, :2] = [[0.7, 0.05], [0.6, 0.15], [0.1, 0.65], [0.7, 0.05]]
    given[1, :, :2] = [[0.2, 0.55], [0.5, 0.25], [0.2, 0.55], [0.6, 0.15]]
    assert examples(labels, given) == [("right", 1), ("wrong", 2), ("wrong", 3)]


def test_the_folder_holds_record_page_text_and_pictures(folder: Path) -> None:
    pictures = [f"comparison-{name}.png" for name in ("confusion", "curves", "f1", "reliability")]
    assert sorted(p.name for p in folder.iterdir()) == sorted([*pictures, "comparison.html", "comparison.json",
                                                               "comparison.md", "report.html"])  # fmt: skip
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    record = json.loads((folder / "comparison.json").read_text())
    assert (record["schema_version"], record["seeds"], len(record["gains"])) == (2, [0, 1, 2], 3)


def test_the_text_links_what_may_be_published_and_no_face(folder: Path) -> None:
    text = (folder / "comparison.md").read_text()
    linked = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    own = {folder / "comparison.md", folder / "comparison.html"}
    assert {folder / name for name in linked} | own == set(faceless(folder))
    assert SIGNED in text
    assert "## Where the models looked\n\nRollout was drawn for vit-baseline-48, vit-warmup-48. The" in text
    assert "report.html of this comparison's folder in the store, and among the files of its MLflow run" in text
    assert "data:" not in text


def test_the_page_that_may_be_published_has_everything_but_faces(folder: Path) -> None:
    whole, shown = ((folder / name).read_text() for name in ("report.html", "comparison.html"))
    assert re.findall(r'<h2 id="[^"]+">[^<]+', shown) == re.findall(r'<h2 id="[^"]+">[^<]+', whole)
    assert shown.count("<svg") == whole.count("<svg") == 4
    assert "data:image" in whole
    assert "<img" not in shown
    assert "data:image" not in shown
    assert "The sheet shows faces of PublicTest, so it is not here" in shown


def test_nothing_tells_folders_of_this_machine(folder: Path, contest: Contest) -> None:
    for name in ("report.html", "comparison.html", "comparison.md"):
        text = (folder / name).read_text()
        assert "/home/somebody" not in text
        assert str(contest.dataset.root) not in text
        assert "runs/vgg16-48-2 · evaluations/vgg16-48-2 · commit c0ffee1" in text


def test_trainings_of_different_commits_are_warned_of(contest: Contest, folder: Path, tmp_path: Path) -> None:
    first, *others = contest.models[NAMES[2]]
    mixed = {**contest.models, NAMES[2]: [replace(first, commit="decaf00"), *others]}
    write_comparison(replace(contest, models=mixed), tmp_path)
    for name in ("report.html", "comparison.md"):
        assert "Warning: the trainings are of 2 commits, c0ffee1, decaf00:" in (tmp_path / name).read_text()
        assert "Warning" not in (folder / name).read_text()


def test_the_calibration_picture_has_the_ece_of_the_models_table(contest: Contest) -> None:
    found = compare(contest)
    ece = replace(found.models[0].ece, mean=0.123)
    known = replace(found, models=(replace(found.models[0], ece=ece), *found.models[1:]))
    (picture,) = (p for p in draw(contest, known) if p.name == "comparison-reliability")
    assert "vit-baseline-48, ECE 0.123" in picture.svg
    assert "vgg16-48, ECE 0.050" in picture.svg
    assert "ECE: mean over the seeds" in picture.told


def test_the_page_is_self_contained_and_shows_every_class_twice_under_every_map(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert [s for s in sources if not s.startswith(("data:", "#"))] == []
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page
    looks = re.findall(r'<tr class="(right|wrong)"><td>(\w+)<', page)
    assert sorted(looks) == sorted((wanted, name) for wanted in ("right", "wrong") for name in CLASSES)
    assert page.count('alt="the face under the rollout of vit-') == 2 * len(looks)
    assert "rollout of vgg16" not in page


def test_every_heading_of_the_page_is_led_to(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    headings = re.findall(r'<h2 id="([^"]+)"', page)
    assert headings == re.findall(r'<a href="#([^"]+)"', page)


def test_a_comparison_without_attention_says_so(tiny_dataset: Dataset, tmp_path: Path) -> None:
    write_comparison(hold(NAMES[2:], (0,), tiny_dataset, tmp_path), tmp_path / "out")
    assert "No model of this comparison has attention" in (tmp_path / "out" / "report.html").read_text()
