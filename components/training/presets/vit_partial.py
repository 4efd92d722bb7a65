"""ViT-B/16 of ImageNet-21k; the last four blocks and the head are trained.

Source: Di Iorio, "Emotion Recognition Using Vision Transformers", 3.2: as
`vit-baseline` with the top of the network free. How many blocks is not said there; four are a third.
The weights come from the model hub; `--set model.pretrained=FOLDER` names a local folder or a state dict instead, and
`ferline weights mirror` puts one into the store of a site without a hub.
Expected: not measured here; 60 GFLOP an image.
Command: `ferline run train-pipeline --source fer2013.csv --preset vit-partial`
"""

from components.balancing.records import BalanceRecipe
from components.models.records import ModelRecipe
from components.training.records import Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="vit", pretrained="google/vit-base-patch16-224-in21k", image_size=224),
    balance=BalanceRecipe(method="paper"),
    schedule=ScheduleRecipe(warmup_epochs=0),
    regime="partial",
    top_blocks=4,
)
