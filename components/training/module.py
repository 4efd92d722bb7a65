"""The network as the training loop sees it: rows in, loss out; the dataset lies on its device as uint8."""

import sys
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Dataset as TorchDataset

from components.labels import CLASSES
from components.models.base import FaceModel
from components.models.stages import freeze_below
from components.training.augment import augment
from components.training.losses import compute_loss, distillation, soft_targets
from components.training.mixing import mix
from components.training.records import Recipe

Tensors = tuple[Tensor, ...] | list[Tensor]
Averaging = Callable[[Tensors, Tensors, Tensor | int], None]


class Rows(TorchDataset[tuple["Rows", int]]):
    """Positions 0..n-1; the collator turns a batch of them into rows, labels and flags at once."""

    def __init__(self, rows: npt.NDArray[np.int64], strong: npt.NDArray[np.bool_] | None = None) -> None:
        self.rows = torch.from_numpy(rows)
        self.strong = torch.zeros(len(rows), dtype=torch.bool) if strong is None else torch.from_numpy(strong)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple["Rows", int]:
        return self, index


class Batch(TypedDict):
    """rows, labels: int64 [B]; strong: bool [B]."""

    rows: Tensor
    labels: Tensor
    strong: Tensor


class Collator:
    """A list of positions -> one Batch, by bulk indexing."""

    def __init__(self, labels: npt.NDArray[np.int64]) -> None:
        self.labels = torch.from_numpy(labels)

    def __call__(self, items: list[tuple[Rows, int]]) -> Batch:
        source = items[0][0]
        positions = torch.tensor([position for _, position in items])
        rows = source.rows[positions]
        return {"rows": rows, "labels": self.labels[rows], "strong": source.strong[positions]}


def moving_average(decay: float) -> Averaging:
    """An exponential average whose memory grows with the steps n: decay min(decay, (1 + n) / (10 + n)).

    With a fixed decay of 0.998 the average of a young network is mostly its first weights for some 1,000 steps.
    """

    def average(kept: Tensors, current: Tensors, steps: Tensor | int) -> None:
        n = int(steps)
        follow = get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))  # type: ignore[no-untyped-call]
        follow(kept, current, steps)

    return average


class TrainingModule(nn.Module):
    """Augmentation, network, loss and moving average in one module, so that a checkpoint holds all of them."""

    images: Tensor
    class_weights: Tensor

    def __init__(
        self,
        model: FaceModel,
        images: npt.NDArray[np.uint8],
        class_weights: npt.NDArray[np.float32],
        recipe: Recipe,
        teachers: Sequence[FaceModel] = (),
    ) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.frozen = freeze_below(model, {"head": 0, "partial": recipe.top_blocks}.get(recipe.regime, sys.maxsize))
        self.teachers = tuple(t.eval().requires_grad_(False) for t in teachers)  # in a tuple: no part of checkpoints
        self.ema = (
            AveragedModel(model, multi_avg_fn=moving_average(recipe.ema), use_buffers=True) if recipe.ema else None
        )
        if self.ema is not None:
            self.ema.requires_grad_(False)
        self.register_buffer("images", torch.from_numpy(np.array(images)), persistent=False)
        self.register_buffer("class_weights", torch.from_numpy(class_weights), persistent=False)

    def train(self, mode: bool = True) -> "TrainingModule":
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def at_epoch(self, epoch: int) -> None:
        """Size of the faces in this epoch, counted from 0, for training and validation alike."""
        early = self.recipe.early_size and epoch < self.recipe.early_epochs
        for network in (self.model, self.kept()):
            network.preprocess.size = self.recipe.early_size if early else self.recipe.model.image_size

    def kept(self) -> FaceModel:
        """The network that is evaluated and exported: the moving average where there is one."""
        model = self.model if self.ema is None else self.ema.module
        assert isinstance(model, FaceModel)
        return model

    def forward(self, rows: Tensor, labels: Tensor, strong: Tensor) -> dict[str, Tensor]:
        """Loss and logits [B, 7]; evaluation reports plain cross-entropy whatever the recipe trains with."""
        images = self.images[rows]
        if not self.training:
            logits = self.kept().answer(images, self.recipe.test_flips)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}
        pixels = augment(images, self.recipe.augment, strong)
        targets = soft_targets(labels, len(CLASSES), self.recipe.loss.label_smoothing)
        pixels, targets = mix(pixels, targets, self.recipe.augment)
        logits = self.model(pixels)
        loss = compute_loss(logits, targets, self.recipe.loss, self.class_weights)
        return {"loss": self._with_teachers(loss, logits, pixels), "logits": logits}

    def _with_teachers(self, loss: Tensor, logits: Tensor, pixels: Tensor) -> Tensor:
        if not self.teachers:
            return loss
        with torch.no_grad():
            taught = torch.stack([teacher.to(pixels.device)(pixels) for teacher in self.teachers]).mean(0)
        distill = self.recipe.distill
        return (1 - distill.weight) * loss + distill.weight * distillation(logits, taught, distill.temperature)

    def statistics(self) -> list[Tensor]:
        """Running means and variances of every batch norm, the moving average's too."""
        networks = [self.model, *([self.ema.module] if self.ema is not None else [])]
        return [b for network in networks for b in network.buffers() if b.is_floating_point()]

    def update_average(self) -> None:
        """After an optimizer step."""
        if self.ema is not None:
            self.ema.update_parameters(self.model)
