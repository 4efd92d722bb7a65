"""ResNet-18 of ImageNet-1k, fine-tuned whole at 224 pixels: the paper's first baseline.

Source: Di Iorio, "Emotion Recognition Using Vision Transformers", 3.2: ImageNet
weights, the ViT's head, sampling and schedule.
The weights come from torchvision's site or its cache (TORCH_HOME);
`--set model.pretrained=resnet18-f37072fd.pth` names a file instead.
Expected: the paper reports 44.73 % accuracy; not measured here; 11 GFLOP an image.
Command: `ferline run train-pipeline --source fer2013.csv --preset resnet18`
"""

from components.balancing.records import BalanceRecipe
from components.models.records import ModelRecipe
from components.training.records import Recipe

RECIPE = Recipe(
    model=ModelRecipe(name="resnet18", pretrained="IMAGENET1K_V1", image_size=224),
    balance=BalanceRecipe(method="paper"),
)
