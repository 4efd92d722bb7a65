"""A small ViT from scratch on two cores: compact-vit on FER-2013's Training images alone.

Source: convolutional stem after Xiao et al. 2021 and Hassani et al. 2021, trained as DeiT (Touvron et al. 2021).
Measured, one seed, two cores with AVX-512 in fp32: PublicTest accuracy 63.1 % (61.5 to 64.7), macro-F1 59.1 % (56.8 to
61.1); PrivateTest 64.1 % (62.5 to 65.7), 59.8 % (57.7 to 61.8); recall of disgust 0.57; 74 minutes with other work
beside it (141 s an epoch without), 1.9 GB.
docs/results/fer2013.md has the rest.
Command: `ferline run train-pipeline --source fer2013.csv --preset compact`
"""

from components.balancing.records import BalanceRecipe, DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, LossRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(name="compact-vit", drop_path=0.1, head_hidden=0, dropout=0.1),
    data=DataRecipe(copies="first"),
    balance=BalanceRecipe(method="sampler", sampler_power=0.5),
    optimizer=OptimizerRecipe(lr=1e-3, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=1, multiplier=1),
    loss=LossRecipe(label_smoothing=0.1),
    augment=AugmentRecipe(rotation=12, translation=0.05, scale=0.1, light=0.1, blur=0.0, erasing=0.25, mixup=0.2),
    test_flips=True,
    epochs=28,
    batch_size=128,
    patience=0,
    ema=0.998,
)
