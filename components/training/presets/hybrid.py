"""The best of one run from scratch on two cores: residual convolutions down to 6 x 6 tokens, then attention.

Source: convolutions before attention after CoAtNet (Dai et al. 2021, arXiv 2106.04803); trained as DeiT (Touvron et al.
2021).
Measured, one seed, two cores with AVX-512 in bf16: PublicTest accuracy 66.2 % (64.6 to 67.7), macro-F1 63.4 % (61.2 to
65.4); PrivateTest 66.6 % (65.0 to 68.2), 62.6 % (60.3 to 64.7); recall of disgust 0.55; 115 minutes with other work
beside it (111 s the fastest epoch), 1.9 GB. `hybrid-longer` goes on from it; docs/results/fer2013.md has the rest.
Command: `ferline run train-pipeline --source fer2013.csv --preset hybrid`
"""

from components.balancing.records import BalanceRecipe, DataRecipe
from components.models.records import ModelRecipe
from components.training.records import AugmentRecipe, LossRecipe, OptimizerRecipe, Recipe, ScheduleRecipe

RECIPE = Recipe(
    model=ModelRecipe(
        name="compact-vit", depth=3, quarter_blocks=2, token_blocks=2, drop_path=0.1, head_hidden=0, dropout=0.1
    ),
    data=DataRecipe(copies="first"),
    balance=BalanceRecipe(method="sampler", sampler_power=0.5),
    optimizer=OptimizerRecipe(lr=1.5e-3, weight_decay=0.05),
    schedule=ScheduleRecipe(after="cosine", warmup_epochs=2, multiplier=1),
    loss=LossRecipe(label_smoothing=0.1),
    augment=AugmentRecipe(rotation=12, translation=0.06, scale=0.1, light=0.15, blur=0.0, erasing=0.25, mixup=0.2),
    test_flips=True,
    int8=True,
    epochs=48,
    batch_size=128,
    patience=0,
    ema=0.999,
)
