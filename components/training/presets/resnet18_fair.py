"""ResNet-18 with a stem for small faces, and with all that `hybrid` is given but its optimizer.

Source: what a comparison of architectures owes its baseline (Wightman et al. 2021, arXiv 2110.00476); paper 3.2 for
the network.
Figures: not measured yet.
Command: `ferline run train-pipeline --source fer2013.csv --preset resnet18-fair`
"""

from dataclasses import replace

from components.models.records import ModelRecipe
from components.training.presets import hybrid
from components.training.records import OptimizerRecipe

RECIPE = replace(
    hybrid.RECIPE,
    model=ModelRecipe(name="resnet18", cnn_small=True, head_hidden=0, dropout=0.1),
    optimizer=OptimizerRecipe(name="sgd", lr=0.05, weight_decay=5e-4),
    int8=False,
)
