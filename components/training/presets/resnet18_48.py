"""ResNet-18 from scratch on FER-2013 at 48 pixels: the paper's baseline with a schedule a from-scratch CNN needs.

Source: paper 3.2 for the head; the paper fine-tunes ImageNet weights at 224 pixels instead.
Measured, one seed, two cores with AVX-512 in fp32:
PublicTest accuracy 55.9 % (54.2 to 57.6), macro-F1 46.0 %; trained twice, 15 and 17 minutes, beside other work.
Command: `ferline run train-pipeline --source fer2013.csv --preset resnet18-48`
"""

from components.balancing.records import DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="resnet18"),
    data=DataRecipe(copies="first"),
    optimizer=OptimizerRecipe(lr=1e-3, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    augment=AugmentRecipe(rotation=12, translation=0.05, scale=0.1, blur=0.0),
    epochs=8,
    batch_size=128,
    patience=0,
)
