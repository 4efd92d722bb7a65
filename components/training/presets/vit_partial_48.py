"""A small ViT at 48 pixels without weights from elsewhere: masked pretraining, then its top two blocks.

Source: regime of `vit-partial`; masked autoencoding (He et al. 2022) of the same training images stands
in for ImageNet.
Measured, one seed, two cores with AVX-512 in bf16, beside other work: PublicTest accuracy
35.6 % (34.0 to 37.2), macro-F1 27.7 %; 34 minutes of pretraining, which `vit-baseline-48` shares, and
8.7 of training;
docs/results/comparison.md.
Command: `ferline run train-pipeline --source fer2013.csv --preset vit-partial-48`
"""

from components.balancing.records import BalanceRecipe
from components.models.records import ModelRecipe
from components.training.records import OptimizerRecipe, PretrainRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="vit", patch_size=6, width=192, depth=6, heads=6),
    balance=BalanceRecipe(method="paper"),
    pretrain=PretrainRecipe(epochs=30),
    optimizer=OptimizerRecipe(lr=1e-3, weight_decay=0.05),
    schedule=ScheduleRecipe(warmup_epochs=0),
    regime="partial",
    top_blocks=2,
    batch_size=64,
)
