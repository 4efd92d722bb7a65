"""`hybrid-longer`, learned on for 30 epochs more with the answers of two teachers beside the labels.

Source: distillation (Hinton et al. 2015, arXiv 1503.02531); a CNN as the teacher of attention after DeiT (Touvron et
al. 2021).
Figures: not measured yet.
Command: `ferline run train-pipeline --source fer2013.csv --preset hybrid-taught --set model.pretrained=RUN --set
distill.teacher=CNN,RUN`, RUN being the folder of a run of `hybrid-longer`, CNN one of `vgg16-fair`.
"""

from dataclasses import replace

from components.training.presets import hybrid_longer
from components.training.records import DistillRecipe

RECIPE = replace(
    hybrid_longer.RECIPE,
    model=replace(hybrid_longer.RECIPE.model, drop_path=0.1),
    distill=DistillRecipe(weight=0.7),
    epochs=30,
)
