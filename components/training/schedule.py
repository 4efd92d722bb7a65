"""Learning rate over steps, as a factor on the recipe's rate."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from components.training.records import ScheduleRecipe


class Schedule:
    """Gradual warm-up, then plateau, cosine, steps or constant. LambdaLR calls it, and checkpoints keep its state.

    Warm-up (Goyal et al. 2017): 1 + (multiplier - 1) t / T, or t / T where the multiplier is 1.
    Plain attributes only: a checkpoint holds them, and torch loads no other object from one.
    """

    def __init__(self, recipe: ScheduleRecipe, steps_per_epoch: int, epochs: int) -> None:
        self.after = str(recipe.after)
        self.multiplier = recipe.multiplier if recipe.warmup_epochs else 1.0
        self.factor, self.patience = recipe.plateau_factor, recipe.plateau_patience
        self.step_length, self.step_factor = recipe.step_epochs * steps_per_epoch, recipe.step_factor
        self.warmup = round(recipe.warmup_epochs * steps_per_epoch)
        self.total = max(steps_per_epoch * epochs, self.warmup + 1)
        self.reduction = 1.0
        self.best = math.inf
        self.stalled = 0

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            share = (step + 1) / self.warmup
            return share if self.multiplier == 1 else 1 + (self.multiplier - 1) * share
        if self.after == "cosine":
            share = min(1.0, (step - self.warmup) / (self.total - self.warmup))
            return self.multiplier * 0.5 * (1 + math.cos(math.pi * share))
        if self.after == "step":
            return self.multiplier * self.step_factor ** int((step - self.warmup) / self.step_length)
        return self.multiplier * self.reduction

    def observe(self, validation_loss: float, step: int) -> None:
        """End of an epoch: after the warm-up, `plateau` lowers the rate when the loss has stalled."""
        if self.after != "plateau" or step < self.warmup:
            return
        if validation_loss < self.best * (1 - 1e-4):
            self.best, self.stalled = validation_loss, 0
            return
        self.stalled += 1
        if self.stalled > self.patience:
            self.reduction, self.stalled = self.reduction * self.factor, 0


def build_scheduler(optimizer: Optimizer, recipe: ScheduleRecipe, steps_per_epoch: int, epochs: int) -> LambdaLR:
    """One step an optimizer step."""
    return LambdaLR(optimizer, Schedule(recipe, steps_per_epoch, epochs))
