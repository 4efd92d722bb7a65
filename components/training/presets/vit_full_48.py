"""A small ViT at 48 pixels, from scratch, at a constant rate until the validation loss stalls.

Source: regime of `vit-full`; patches of 6 pixels give 64 tokens.
Measured, one seed, two cores with AVX-512 in bf16, beside other work: PublicTest accuracy
24.9 % (23.5 to 26.3), macro-F1 17.9 %; 15.6 minutes, stopped early after 11 epochs;
docs/results/comparison.md.
Command: `ferline run train-pipeline --source fer2013.csv --preset vit-full-48`
"""

from components.balancing.records import BalanceRecipe
from components.models.records import ModelRecipe
from components.training.records import OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="vit", patch_size=6, width=192, depth=6, heads=6),
    balance=BalanceRecipe(method="paper"),
    optimizer=OptimizerRecipe(lr=3e-4, weight_decay=0.05),
    schedule=ScheduleRecipe(warmup_epochs=0),
    batch_size=64,
)
