"""VGG-16 as `make run` trains it: a quarter of torchvision's channels, so that two cores carry it in two minutes."""

from components.balancing.records import BalanceRecipe, DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="vgg16", cnn_width=0.25),
    data=DataRecipe(validation_share=0.2),  # the drift reference is made of it and PublicTest: 900 faces of 3,500
    balance=BalanceRecipe(method="paper"),
    optimizer=OptimizerRecipe(lr=3e-4, weight_decay=1e-2),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    augment=AugmentRecipe(rotation=10, translation=0.05),
    epochs=24,
    batch_size=32,
    patience=0,
)
