"""Models under several seeds against each other: figures and tables, without a training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.dataset import Dataset
from components.errors import DataError
from components.evaluation.repeats import mean_intervals, resample
from components.labels import CLASSES
from components.report.comparison import Contest, answers, compare
from components.report.comparison_origin import elsewhere
from components.report.comparison_tables import Table, tables
from components.report.comparison_words import regime_words, start_words
from components.training.recipes import load_preset
from components.training.records import Recipe
from tests.report.contests import HARDWARE, NAMES, hold


def table_of(contest: Contest, anchor: str) -> Table:
    return next(table for table in tables(compare(contest)) if table.anchor == anchor)


def row_by_model(contest: Contest, anchor: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Cells after the name, the last row of a name."""
    return {row[0][0]: row[1:] for row in table_of(contest, anchor).rows}


def test_a_figure_is_the_mean_over_seeds_beside_the_interval_of_that_mean(contest: Contest) -> None:
    comparison = compare(contest)
    found = comparison.models[0]
    scored = [r.run.evaluation.figures for r in contest.models[found.name]]
    assert found.macro_f1.mean == pytest.approx(np.mean([f.macro_f1 for f in scored]))
    assert (found.macro_f1.low, found.macro_f1.n) == (min(f.macro_f1 for f in scored), 3)
    labels = contest.first.run.predictions["label"].to_numpy(np.int64)
    drawn = resample(labels, {found.name: [answers(r) for r in contest.models[found.name]]})
    around = mean_intervals(drawn)[found.name]
    assert (found.accuracy_interval, found.macro_f1_interval) == around
    assert all("of that mean over the test images" in table.caption for table in tables(comparison)[:2])
    assert np.sum(found.confusion) == 3 * scored[0].n
    assert found.test_loss.mean == pytest.approx(np.mean([f.nll for f in scored]))


def test_precision_and_recall_stand_beside_f1_over_all_and_by_class(contest: Contest) -> None:
    vgg = compare(contest).models[2]
    scored = [r.run.evaluation.per_class for r in contest.models[vgg.name]]
    cells = dict(zip(table_of(contest, "models").head[1:], row_by_model(contest, "models")[vgg.name], strict=True))
    for name, figure in (("precision", vgg.macro_precision), ("recall", vgg.macro_recall)):
        assert figure.mean == pytest.approx(np.mean([[getattr(c, name) for c in seed] for seed in scored]))
        assert cells[f"macro {name}"][0] == f"{100 * figure.mean:.1f} %"
    assert vgg.macro_f1_without_twins
    assert cells["macro-F1 without twins"][0] == f"{100 * vgg.macro_f1_without_twins.mean:.1f} %"
    *_, cell = row_by_model(contest, "classes")["sad"]
    f1, precision, recall = (
        np.mean([getattr(seed[CLASSES.index("sad")], name) for seed in scored])
        for name in ("f1", "precision", "recall")
    )
    assert cell[0] == f"{100 * f1:.1f} %"
    assert cell[-2:] == (f"precision {100 * precision:.1f} %", f"recall {100 * recall:.1f} %")


def test_the_models_table_says_whose_own_data_gave_way(contest: Contest) -> None:
    replaced = {"vgg16-48": ("data.copies=first", "balance.method=none")}
    table = table_of(replace(contest, replaced=replaced), "models")
    assert "the data and balance of vit-baseline-48 stand in place" in table.note
    assert "vgg16-48's data.copies=first, balance.method=none. With --own-data" in table.note
    assert table_of(contest, "models").note == ""


def test_whether_the_models_learned_from_the_same_images_is_read_from_their_samples(contest: Contest) -> None:
    assert "all models learn from the same balanced sample" in table_of(contest, "models").caption
    first, *others = contest.models[NAMES[2]]
    other = replace(first, run=replace(first.run, summary=replace(first.run.summary, sample_sha256="another")))
    caption = table_of(replace(contest, models={**contest.models, NAMES[2]: [other, *others]}), "models").caption
    assert "The models learn from different samples of Training. vit-baseline-48, vit-warmup-48: large cl" in caption
    assert "vgg16-48: images as they come; left out are" in caption


def test_minutes_and_energy_are_those_with_labels_and_a_pretraining_stands_apart(contest: Contest) -> None:
    baseline, warmup, _ = compare(contest).models
    assert (baseline.minutes.mean, warmup.minutes.mean) == (pytest.approx(301 / 60), pytest.approx(301 / 60))
    assert (baseline.pretraining_minutes.mean, warmup.pretraining_minutes.mean) == (10, 0)
    assert baseline.energy_wh
    assert baseline.energy_wh.mean == pytest.approx(2.5)
    assert baseline.pretraining_wh
    assert baseline.pretraining_wh.mean == 7.5
    cost = row_by_model(contest, "cost")
    assert [cell[0] for cell in cost["vit-baseline-48"]] == ["5.02", "2.50", "10.0", "7.50"]
    assert [cell[0] for cell in cost["vit-warmup-48"]] == ["5.02", "2.50", "none", "none"]
    (*_, minutes, energy, _, _) = row_by_model(contest, "runs")["vit-baseline-48"]
    assert (minutes, energy) == (("10.0",), ("7.50",))


def test_what_was_not_measured_is_not_counted_as_nothing(contest: Contest) -> None:
    (first, *others), warm = contest.models[NAMES[0]], contest.models[NAMES[1]]
    summary = replace(warm[0].run.summary, energy_wh=None)
    models = {
        NAMES[0]: [replace(first, pretraining_wh=None), *others],
        NAMES[1]: [replace(warm[0], run=replace(warm[0].run, summary=summary)), *warm[1:]],
    }
    cost = row_by_model(replace(contest, models=models), "cost")
    assert [cell[0] for cell in cost[NAMES[0]]] == ["5.02", "2.50", "10.0", "not measured"]
    assert [cell[0] for cell in cost[NAMES[1]]] == ["5.02", "not measured", "none", "none"]
    note = table_of(replace(contest, models=models), "cost").note
    assert "minutes (energy not measured) with labels; 30.0 minutes (energy not measured) for 3 pretrainings" in note


def test_a_shared_pretraining_is_told_and_counted_once(contest: Contest) -> None:
    baseline = contest.models[NAMES[0]]
    as_partial = [replace(r, run=replace(r.run, name="vit-partial-48")) for r in baseline]
    alone = replace(as_partial[2], pretraining="a log of its own")
    shared = replace(contest, models={**contest.models, "vit-partial-48": [*as_partial[:2], alone]})
    note = table_of(shared, "cost").note
    assert "Under seeds 0, 1 vit-baseline-48 and vit-partial-48 share a pretraining: it was spent once a seed" in note
    assert "40.0 minutes and 30.0 Wh for 4 pretrainings, each counted once" in note
    assert note in table_of(shared, "cost").markdown()
    assert "share" not in table_of(contest, "cost").note


def test_codecarbons_estimate_is_said_to_be_of_the_whole_machine(contest: Contest) -> None:
    found = compare(contest)
    for source, whole in (("codecarbon, estimate for CPU and memory", True), ("NVML counter, GPU alone", False)):
        told = {t.anchor: t.caption for t in tables(replace(found, energy_sources=(source,)))}
        assert all(source in told[anchor] for anchor in ("cost", "runs"))
        assert all(("whole machine, other processes included" in told[a]) == whole for a in ("cost", "runs"))


def test_every_table_says_weights_images_seeds_and_hardware(contest: Contest) -> None:
    told = tables(compare(contest))
    assert [table.anchor for table in told] == ["models", "regimes", "cost", "pairs", "classes", "runs"]
    for table in told:
        assert "from scratch on the dataset's Training split alone" in table.caption
        assert all(words in table.caption for words in ("PublicTest, n = 70", "seeds 0, 1, 2", HARDWARE))
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert "paper" not in table.markdown()
    assert [row[0] for row in told[1].rows] == [("vit-baseline-48",), ("vit-warmup-48",)]


def test_regimes_that_differ_in_start_or_rate_are_not_said_to_differ_by_the_regime(contest: Contest) -> None:
    told = table_of(contest, "regimes")
    assert (
        "not the regime's effect: row by row they also differ in start (pretrain.epochs: 30, 0); learning rate "
        "(optimizer.lr: 0.001, 0.0001; schedule.warmup_epochs: 0, 3)."
    ) in told.caption
    assert "gain" not in " ".join((*told.head, told.caption)).lower()
    assert [row[3] for row in told.rows] == [("0.001",), ("0.0001 to 0.001",)]


def test_regimes_that_differ_in_nothing_else_need_no_warning_and_paths_are_not_told(contest: Contest) -> None:
    found = compare(contest)
    first, second, cnn = found.models
    partial = replace(first.recipe, regime="partial", top_blocks=2)
    alike = replace(found, models=(first, replace(second, recipe=partial), cnn))
    assert "regime's effect" not in tables(alike)[1].caption
    taught = replace(partial, distill=replace(partial.distill, teacher="/home/somebody/runs/teacher"))
    other = replace(found, models=(first, replace(second, recipe=taught), cnn))
    assert "they also differ in start (distill.teacher)." in tables(other)[1].caption
    assert "/home" not in tables(other)[1].markdown()


def test_on_fer2013_the_papers_figures_stand_in_rows_of_their_own(contest: Contest) -> None:
    first, second, *_ = tables(replace(compare(contest), fer2013=True))
    assert [row[0] for row in (*first.paper, *second.paper)] == [("*the paper's*",)] * 4
    assert [cell[0] for row in first.paper for cell in row if "%" in cell[0]] == ["64.02 %", "44.73 %", "33.87 %"]
    assert all({len(row) for row in table.paper} == {len(table.head)} for table in (first, second))
    assert "its own figures" in first.caption


def test_what_a_model_owes_to_others_is_named_in_every_table(contest: Contest) -> None:
    owing = [replace(r, elsewhere="pretrained: hub/vit") for r in contest.models[NAMES[0]]]
    told = tables(compare(replace(contest, models={**contest.models, NAMES[0]: owing})))
    words = "elsewhere: vit-baseline-48 (pretrained: hub/vit). From scratch on the dataset's Training split alone: vit-"
    assert all(words in table.caption for table in told)
    assert told[1].rows[0][2] == ("pretrained: hub/vit; 30 epochs of masked pretraining",)


def test_weights_and_teachers_are_followed_to_where_they_come_from() -> None:
    plain = load_preset("hybrid")

    def beginning(recipe: Recipe, weights: str = "", teacher: str = "") -> Recipe:
        model = replace(recipe.model, pretrained=weights)
        return replace(recipe, model=model, distill=replace(recipe.distill, teacher=teacher))

    runs = {
        "/home/me/runs/hybrid": plain,
        "runs/longer": beginning(plain, "/home/me/runs/hybrid"),
        "runs/resnet": beginning(load_preset("resnet18-48"), "IMAGENET1K_V1"),
    }
    ours = "a run of compact ViT, itself from scratch"
    assert elsewhere(plain, runs.get) == ""
    assert elsewhere(runs["runs/longer"], runs.get) == f"begun from {ours}"
    assert elsewhere(beginning(plain, "runs/longer"), runs.get) == (
        f"begun from a run of compact ViT, itself begun from {ours}"
    )
    assert elsewhere(beginning(plain, "", "runs/resnet"), runs.get) == (
        "from scratch; taught by a run of ResNet-18, itself pretrained: IMAGENET1K_V1"
    )
    assert elsewhere(beginning(plain, "", "/home/me/runs/hybrid, runs/longer"), runs.get) == (
        f"from scratch; taught by {ours} and a run of compact ViT, itself begun from {ours}"
    )
    gone = beginning(plain, "/home/me/runs/gone", "runs/resnet")
    assert elsewhere(gone, runs.get).startswith("begun from the run gone, which is not at hand; taught by a run")
    assert elsewhere(beginning(load_preset("vit-full"), "/home/me/store/vit"), runs.get) == "pretrained: vit"


@pytest.mark.parametrize(
    ("preset", "regime", "start"),
    [
        ("vit-baseline-48", "baseline: the head alone", "from scratch, 30 epochs of masked"),
        ("vit-partial-48", "partial: the head and the top 2 blocks", "from scratch, 30 epochs of masked"),
        ("vit-full-48", "full", "from scratch"),
        ("vit-warmup", "full, warm-up and then plateau", "pretrained: google/vit-base"),
    ],
)
def test_regimes_and_beginnings_have_the_papers_names(preset: str, regime: str, start: str) -> None:
    assert regime_words(load_preset(preset)) == regime
    recipe = load_preset(preset)
    assert start_words(recipe, elsewhere(recipe, lambda name: None)).startswith(start)


def test_one_seed_is_told_without_a_range(tiny_dataset: Dataset, tmp_path: Path) -> None:
    told = tables(compare(hold(NAMES[:1], (4,), tiny_dataset, tmp_path)))
    assert [table.anchor for table in told] == ["models", "regimes", "cost", "classes", "runs"]
    text = "".join(table.markdown() for table in told)
    assert "seed 4." in text
    assert "seeds" not in text


def test_models_of_other_images_or_other_seeds_are_not_compared(contest: Contest) -> None:
    first, *others = contest.models[NAMES[2]]
    elsewhere = replace(first, run=replace(first.run, evaluation=replace(first.run.evaluation, test_digest="other")))
    with pytest.raises(DataError, match="vgg16-48 was scored on other test images"):
        compare(replace(contest, models={**contest.models, NAMES[2]: [elsewhere, *others]}))
    with pytest.raises(DataError, match=r"vgg16-48 has the seeds \[1, 2\]"):
        compare(replace(contest, models={**contest.models, NAMES[2]: others}))
