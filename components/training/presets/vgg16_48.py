"""VGG-16 from scratch on FER-2013 at 48 pixels: the paper's baseline with a schedule a from-scratch CNN needs.

Source: paper 3.2 for loss and head; the paper fine-tunes ImageNet weights at 224 pixels instead.
"""

from components.balancing.records import DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="vgg16", cnn_width=0.5),
    data=DataRecipe(copies="first"),
    optimizer=OptimizerRecipe(lr=5e-4, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    augment=AugmentRecipe(rotation=12, translation=0.08, scale=0.1, blur=0.0),
    epochs=4,
    batch_size=128,
    patience=0,
)
