"""Networks that map raw uint8 faces to logits, their attention rollout and their ONNX export."""

from components.models.records import ModelRecipe

__all__ = ["ModelRecipe"]
