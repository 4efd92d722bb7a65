"""A small ViT at 48 pixels, from scratch, with the paper's gradual warm-up and plateau.

Source: regime of `vit-warmup`, at rates that random weights need: 1e-4 to 1e-3.
Measured, one seed, two cores with AVX-512 in bf16, beside other work: PublicTest accuracy
19.6 % (18.3 to 20.9), macro-F1 12.0 %; 13 minutes, stopped early after 6 epochs;
docs/results/comparison.md.
Command: `ferline run train-pipeline --source fer2013.csv --preset vit-warmup-48`
"""

from components.balancing.records import BalanceRecipe
from components.models.records import ModelRecipe
from components.training.records import OptimizerRecipe, Recipe

RECIPE = Recipe(
    model=ModelRecipe(name="vit", patch_size=6, width=192, depth=6, heads=6),
    balance=BalanceRecipe(method="paper"),
    optimizer=OptimizerRecipe(lr=1e-4, weight_decay=0.05),
    batch_size=64,
)
