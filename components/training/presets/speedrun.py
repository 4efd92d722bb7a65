"""The paper's accuracy as soon as can be: `hybrid` on a short schedule, its first epochs on smaller faces.

Source: progressive learning after Tan & Le 2021 (arXiv 2104.00298); the rest as `hybrid`.
Command: `python -m benchmarks.speedrun --data DATASET`
"""

from components.balancing.records import BalanceRecipe, DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, LossRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="compact-vit", depth=3, quarter_blocks=2, token_blocks=2, head_hidden=0, dropout=0.0),
    data=DataRecipe(copies="first"),
    balance=BalanceRecipe(method="sampler", sampler_power=0.25),
    optimizer=OptimizerRecipe(lr=2e-3, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    loss=LossRecipe(label_smoothing=0.1),
    augment=AugmentRecipe(rotation=12, translation=0.06, scale=0.1, light=0.0, blur=0.0, erasing=0.1),
    test_flips=True,
    epochs=22,
    early_size=32,
    early_epochs=13,
    batch_size=128,
    patience=0,
    ema=0.998,
)
