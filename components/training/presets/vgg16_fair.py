"""VGG-16, half of torchvision's channels and batch norms, with all that `hybrid` is given but its optimizer.

Source: what a comparison of architectures owes its baseline (Wightman et al. 2021, arXiv 2110.00476); paper 3.2 for
the network.
Measured, one seed, two cores with AVX-512 in bf16: PublicTest accuracy 66.9 % (65.4 to 68.4), macro-F1 64.3 % (62.1 to
66.4), where `hybrid` has 66.2 and 63.4; 98 s an epoch alone; PrivateTest not opened; docs/results/fer2013.md has more.
Command: `ferline run train-pipeline --source fer2013.csv --preset vgg16-fair`
"""

from dataclasses import replace

from components.models.records import ModelRecipe
from components.training.presets import hybrid
from components.training.records import OptimizerRecipe

RECIPE = replace(
    hybrid.RECIPE,
    model=ModelRecipe(name="vgg16", cnn_width=0.5, cnn_small=True, head_hidden=0, dropout=0.1),
    optimizer=OptimizerRecipe(name="sgd", lr=0.05, weight_decay=5e-4),
    int8=False,
)
