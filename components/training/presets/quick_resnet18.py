"""ResNet-18 as `make run` trains it: torchvision's network on 48-pixel synthetic faces, in two minutes on two cores."""

from components.balancing.records import BalanceRecipe, DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="resnet18"),
    data=DataRecipe(validation_share=0.2),  # the drift reference is made of it and PublicTest: 900 faces of 3,500
    balance=BalanceRecipe(method="paper"),
    optimizer=OptimizerRecipe(lr=1e-3, weight_decay=1e-2),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    augment=AugmentRecipe(rotation=10, translation=0.05),
    epochs=12,
    batch_size=64,
    patience=0,
)
