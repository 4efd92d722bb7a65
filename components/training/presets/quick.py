"""The ViT that `make run` trains: a small compact-vit on the synthetic faces, in about two minutes on two cores.

Source: preset `compact` at two thirds of its width and depth, without its long schedule.
"""

from components.balancing.records import BalanceRecipe, DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="compact-vit", width=128, depth=4, heads=4),
    data=DataRecipe(validation_share=0.2),  # the drift reference is made of it and PublicTest: 900 faces of 3,500
    balance=BalanceRecipe(method="paper"),
    optimizer=OptimizerRecipe(lr=1.5e-3, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    augment=AugmentRecipe(rotation=10, translation=0.05),
    epochs=24,
    batch_size=64,
    patience=0,
)
