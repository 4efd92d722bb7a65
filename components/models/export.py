"""Write a trained network as one ONNX graph: pixels in, calibrated probabilities, embedding and rollout out."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from components.models.base import Attending, FaceModel
from components.models.rollout import rollout_map


class Exported(nn.Module):
    """What is served: softmax(logits / temperature), the features before the head, and the map where there is one.

    flips: logits are the mean over a face and its mirror image; embedding and map are of the face as it came.
    """

    def __init__(self, model: FaceModel, temperature: float, flips: bool = False) -> None:
        super().__init__()
        self.model, self.temperature, self.flips = model, temperature, flips
        self.attend = model.backbone.attend if isinstance(model.backbone, Attending) else None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images: uint8 [B, H, W] -> probabilities [B, 7], embedding [B, D], rollout [B, H, W] (attention only)."""
        pixels = self.model.preprocess(images)
        if self.attend is None:
            embedding = self.model.backbone(pixels)
            return self._probabilities(embedding, pixels), embedding
        embedding, attentions = self.attend(pixels)
        heat = rollout_map(attentions, images.shape[-2], images.shape[-1])
        return self._probabilities(embedding, pixels), embedding, heat

    def _probabilities(self, embedding: Tensor, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model.head(embedding)
        if self.flips:
            logits = (logits + self.model.head(self.model.backbone(pixels.flip(-1)))) / 2
        return (logits / self.temperature).softmax(-1)


def export_onnx(model: FaceModel, temperature: float, height: int, width: int, path: Path, flips: bool = False) -> None:
    """Write `path` for any batch of uint8 images [B, height, width]; opset 18, weights inside the file."""
    names = ["probabilities", "embedding", "rollout"]
    if not isinstance(model.backbone, Attending):
        names.pop()
    example = torch.randint(0, 256, (2, height, width), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, dozens a call
        torch.onnx.export(
            Exported(model, temperature, flips).cpu().eval(),
            (example,),
            str(path),
            input_names=["images"],
            output_names=names,
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=65536)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
