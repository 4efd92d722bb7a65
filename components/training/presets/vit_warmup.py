"""ViT-B/16 of ImageNet-21k, fine-tuned whole with gradual warm-up: the paper's ViT.

Source: Di Iorio, "Emotion Recognition Using Vision Transformers", 3.2: three
epochs of warm-up from 1e-5 to 1e-4, then a plateau schedule: the defaults of a recipe.
The weights come from the model hub; `--set model.pretrained=FOLDER` names a local folder or a state dict instead, and
`ferline weights mirror` puts one into the store of a site without a hub.
Expected: the paper reports 64.02 % accuracy; not measured here; 105 GFLOP an image.
Command: `ferline run train-pipeline --source fer2013.csv --preset vit-warmup`
"""

from components.balancing.records import BalanceRecipe
from components.models.records import ModelRecipe
from components.training.records import Recipe

RECIPE = Recipe(
    model=ModelRecipe(name="vit", pretrained="google/vit-base-patch16-224-in21k", image_size=224),
    balance=BalanceRecipe(method="paper"),
)
