"""A small ViT at 48 pixels without weights from elsewhere: masked pretraining, then the head alone.

Source: regime of `vit-baseline`; masked autoencoding (He et al. 2022) of the same training images stands
in for ImageNet.
Measured, one seed, two cores with AVX-512 in bf16, beside other work: PublicTest accuracy
24.0 % (22.7 to 25.4), macro-F1 19.1 %; 34 minutes of pretraining and 5.6 of training;
docs/results/comparison.md.
Command: `ferline run train-pipeline --source fer2013.csv --preset vit-baseline-48`
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
    regime="head",
    batch_size=64,
)
