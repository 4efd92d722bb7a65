"""What one writes first: BentoML, PyTorch eager, Pillow a picture at a time, rollout by full products.

The peer of `python -m benchmarks.serving`, with the champion's own weights: PEER_MODEL names the folder that holds its
recipe.json and model.safetensors.
"""

import base64
import io
import os
from pathlib import Path
from typing import Any

import bentoml
import matplotlib
import numpy as np
import torch
from PIL import Image

from benchmarks.rollout import full_product
from components.labels import CLASSES
from components.models.base import Attending
from components.training.recipes import from_json
from components.training.runs import RECIPE, load_run


@bentoml.service(name="peer", http={"host": "127.0.0.1"}, traffic={"timeout": 60, "max_concurrency": 1000})
class PeerService:
    """One request, one run of the model."""

    def __init__(self) -> None:
        folder = Path(os.environ["PEER_MODEL"])
        self.model, self.flips = load_run(folder), from_json((folder / RECIPE).read_text()).test_flips

    @bentoml.api
    def predict(self, image: Image.Image) -> dict[str, Any]:
        """Class and probabilities."""
        with torch.inference_mode():
            return _document(self.model.answer(_tensor(image), self.flips))

    @bentoml.api
    def explain(self, image: Image.Image) -> dict[str, Any]:
        """The same with the rollout map and its overlay."""
        with torch.inference_mode():
            backbone = self.model.backbone
            assert isinstance(backbone, Attending)
            tensor = _tensor(image)
            features, attentions = backbone.attend(self.model.preprocess(tensor))
            logits = self.model.head(features)
            document = _document((logits + self.model(tensor.flip(-1))) / 2 if self.flips else logits)
            row = full_product(attentions)[0, 1:]
        side = round(len(row) ** 0.5)
        heat = (row / row.max()).reshape(side, side).numpy()
        large = Image.fromarray((255 * heat).astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
        colours = Image.fromarray((255 * matplotlib.colormaps["viridis"](np.asarray(large))[..., :3]).astype(np.uint8))
        buffer = io.BytesIO()
        Image.blend(image.convert("RGB"), colours, 0.6).save(buffer, "PNG")
        shown = np.asarray(large, np.float32) / 255
        return {**document, "rollout": shown.tolist(), "overlay_png": base64.b64encode(buffer.getvalue()).decode()}


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.convert("L").resize((48, 48)), np.uint8).copy())[None]


def _document(logits: torch.Tensor) -> dict[str, Any]:
    probabilities = logits.softmax(-1)[0].tolist()
    named = dict(zip(CLASSES, probabilities, strict=True))
    return {"class": max(named, key=lambda name: named[name]), "probabilities": named}
