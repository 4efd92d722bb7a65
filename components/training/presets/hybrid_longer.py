"""`hybrid`, learned on from its own weights for 30 epochs more, with twice the mixup and stochastic depth.

Source: a cosine begun anew from trained weights after SGDR (Loshchilov & Hutter 2017, arXiv 1608.03983).
Measured, one seed, two cores with AVX-512 in bf16, after `hybrid`'s 48 epochs: PublicTest accuracy 67.4 % (65.9 to
68.9), macro-F1 65.6 % (63.4 to 67.5); PrivateTest 67.7 % (66.2 to 69.3), 64.7 % (62.5 to 66.8); recall of disgust 0.57;
67 minutes with other work beside it. It is the model in serving/release; docs/results/fer2013.md has the rest.
Command: `ferline run train-pipeline --source fer2013.csv --preset hybrid-longer --set model.pretrained=RUN`, RUN being
the folder of a run of `hybrid`; without it the same is learned from scratch.
"""

from dataclasses import replace

from components.training.presets import hybrid

RECIPE = replace(
    hybrid.RECIPE,
    model=replace(hybrid.RECIPE.model, drop_path=0.2),
    optimizer=replace(hybrid.RECIPE.optimizer, lr=1e-3, weight_decay=0.08),
    schedule=replace(hybrid.RECIPE.schedule, warmup_epochs=1),
    augment=replace(hybrid.RECIPE.augment, mixup=0.4),
    epochs=30,
)
