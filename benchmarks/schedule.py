"""The learning rate by step: `python -m benchmarks.schedule` draws docs/schedule.svg.

Warm-up is held against the published scheduler's formula (Goyal et al. 2017 as pytorch-gradual-warmup-lr has it):
lr (1 + (multiplier - 1) epoch / warm-up epochs), a value an epoch; ours moves with every step and meets it where an
epoch ends. The plateau is fed a validation loss that stops falling after epoch 6.
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from components.training.records import ScheduleRecipe
from components.training.schedule import Schedule

STEPS, EPOCHS, LR = 100, 15, 1e-5
PICTURE = Path(__file__).parents[1] / "docs" / "schedule.svg"
RECIPES = {
    "plateau (the paper's)": ScheduleRecipe(),
    "cosine": ScheduleRecipe(after="cosine"),
    "step": ScheduleRecipe(after="step"),
    "constant, no warm-up": ScheduleRecipe(after="constant", warmup_epochs=0),
}


def rates(recipe: ScheduleRecipe) -> list[float]:
    """Learning rate of every step of a training."""
    schedule = Schedule(recipe, STEPS, EPOCHS)
    found = []
    for epoch in range(EPOCHS):
        found += [LR * schedule(epoch * STEPS + step) for step in range(STEPS)]
        schedule.observe(max(1.0, 2.0 - epoch / 6), (epoch + 1) * STEPS)
    return found


def published(epoch: int, recipe: ScheduleRecipe) -> float:
    """Rate after `epoch` epochs of warm-up."""
    return LR * ((recipe.multiplier - 1.0) * epoch / recipe.warmup_epochs + 1.0)


def main() -> None:
    """Print the largest difference at the ends of warm-up's epochs; draw the picture."""
    plt.rcParams.update({"svg.hashsalt": "ferline", "font.size": 9})
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for name, recipe in RECIPES.items():
        axes.plot([step / STEPS for step in range(STEPS * EPOCHS)], rates(recipe), label=name)
    paper = ScheduleRecipe()
    ends = range(1, round(paper.warmup_epochs) + 1)
    expected = [published(epoch, paper) for epoch in ends]
    axes.plot(list(ends), expected, "k.", label="published warm-up formula")
    axes.set(xlabel="epoch", ylabel="learning rate", yscale="log", ylim=(5e-7, 2e-4))
    axes.set_title("Learning rate by step, base 1e-5, multiplier 10")
    axes.legend(loc="lower left")
    figure.savefig(PICTURE, metadata={"Date": None})
    own = rates(paper)
    worst = max(abs(own[epoch * STEPS - 1] / wanted - 1) for epoch, wanted in zip(ends, expected, strict=True))
    print(f"warm-up and published formula differ by at most {worst:.1e} of the rate; drawn in {PICTURE.name}")


if __name__ == "__main__":
    main()
