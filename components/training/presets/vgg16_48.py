"""VGG-16 from scratch on FER-2013 at 48 pixels, half of torchvision's channels so that two cores carry it.

Source: paper 3.2 for the head; the paper fine-tunes ImageNet weights at 224 pixels instead.
Measured, one seed, two cores with AVX-512 in fp32:
PublicTest accuracy 47.9 % (46.3 to 49.5), macro-F1 35.0 %; trained twice, 17 and 24 minutes, beside other work.
Command: `ferline run train-pipeline --source fer2013.csv --preset vgg16-48`
"""

from components.balancing.records import DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="vgg16", cnn_width=0.5),
    data=DataRecipe(copies="first"),
    optimizer=OptimizerRecipe(lr=5e-4, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    augment=AugmentRecipe(rotation=12, translation=0.05, scale=0.1, blur=0.0),
    epochs=8,
    batch_size=128,
    patience=0,
)
