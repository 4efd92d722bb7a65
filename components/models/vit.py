"""transformers' ViT as a backbone: from a hub id, a local folder in the hub's layout, or from scratch.

Dosovitskiy et al. 2021 (arXiv 2010.11929). Positions are interpolated where the recipe's image size
differs from the weights'.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, ViTConfig, ViTModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from components.errors import ModelNotFound
from components.models.records import ModelRecipe
from components.models.weights import read_state, require_fit, require_none_differ, vit_config, vit_state


def written_out(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, scaling: float, dropout: float, **_: Any
) -> tuple[Tensor, Tensor]:
    """Attention of [B, heads, N, d]: values [B, N, heads, d], and its weights [B, heads, N, N]. ViT has no mask."""
    weights = (query * scaling @ key.transpose(-2, -1)).softmax(-1)
    weights = F.dropout(weights, dropout) if dropout else weights
    return (weights @ value).transpose(1, 2).contiguous(), weights


def fastest(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Fused, but for training on a CPU: torch 2.14's fused backward there takes over a third of a step in bf16."""
    if torch.is_grad_enabled() and not query.is_cuda:
        return written_out(module, query, key, value, mask, **options)
    fused: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **options)
    return fused


LAYER = re.compile(r"(vit\.)?(encoder\.)?layers?\.\d")  # under the old names and the new
WRITTEN_OUT, FASTEST = "ferline_written_out", "ferline_fastest"
AttentionInterface.register(WRITTEN_OUT, written_out)
AttentionInterface.register(FASTEST, fastest)


class ViTBackbone(nn.Module):
    """[B, 3, S, S] -> CLS features [B, width]."""

    def __init__(self, vit: ViTModel) -> None:
        super().__init__()
        self.vit = vit
        self.vit.set_attn_implementation(FASTEST)
        self.patch = int(vit.config.patch_size)

    def tokens(self, pixels: Tensor) -> Tensor:
        """[B, 1 + patches, width], CLS first, positions added."""
        tokens: Tensor = self.vit.embeddings(pixels, interpolate_pos_encoding=True)
        return tokens

    def encode(self, tokens: Tensor) -> Tensor:
        """Tokens through every layer and the final norm, [B, N, width] for any N."""
        for layer in self.vit.layers:
            tokens = layer(tokens)
        encoded: Tensor = self.vit.layernorm(tokens)
        return encoded

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.vit(pixels, interpolate_pos_encoding=True).last_hidden_state[:, 0]
        return features

    def attend(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features and every layer's attention weights [B, heads, N, N], first layer first."""
        self.vit.set_attn_implementation(WRITTEN_OUT)  # fused attention returns no weights
        try:
            out = self.vit(pixels, interpolate_pos_encoding=True, output_attentions=True)
        finally:
            self.vit.set_attn_implementation(FASTEST)
        return out.last_hidden_state[:, 0], list(out.attentions)


def build_vit(recipe: ModelRecipe) -> ViTModel:
    """The ViT a recipe asks for; raises ModelNotFound where its weights cannot be had."""
    if recipe.pretrained:
        return load_vit(recipe.pretrained)
    config = ViTConfig(
        image_size=recipe.image_size,
        patch_size=recipe.patch_size,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.depth,
        num_attention_heads=recipe.heads,
        intermediate_size=int(recipe.width * recipe.mlp_ratio),
    )
    return ViTModel(config, add_pooling_layer=False)


def load_vit(where: str) -> ViTModel:
    """Weights from a state dict, a local folder or the hub.

    Raises ModelNotFound with the ways out, or with the first tensors that do not fit the folder's or hub's config.json.
    """
    path = Path(where).expanduser()
    if path.is_file():
        return _from_state(path)
    if where.startswith((".", "/", "~", "s3:")) and not (path / "config.json").is_file():
        raise ModelNotFound(
            f"no ViT weights in {where}: a folder in the hub's layout holds config.json and model.safetensors."
        )
    try:
        vit, told = ViTModel.from_pretrained(
            str(path) if path.is_dir() else where,
            add_pooling_layer=False,
            dtype=torch.float32,  # else the file's: half precision loses small updates to rounding
            ignore_mismatched_sizes=True,  # else transformers raises without their names
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelNotFound(
            f"cannot load ViT weights {where!r}: {reason}\n"
            "Ways out: connect to the model hub; or copy the model's folder (config.json, model.safetensors) here and "
            "name it with --set model.pretrained=FOLDER; or take it from a store that `ferline weights mirror` filled; "
            "or train from scratch with --set model.pretrained= ."
        ) from error
    _require_whole(vit, told, where)
    return vit


def _require_whole(vit: ViTModel, told: Mapping[str, Any], where: str) -> None:
    """Refuse what transformers would fill with random weights, or a layer that it would leave out.

    What else it has no use for, such as a pooler, a head or a decoder, is no part of a ViT here.
    """
    require_none_differ(
        where,
        missing=[name for name in vit.state_dict() if name in told["missing_keys"]],
        reshaped=sorted(told["mismatched_keys"]),
        unknown=sorted(name for name in told["unexpected_keys"] if LAYER.match(name)),
    )


def _from_state(file: Path) -> ViTModel:
    """A timm, torchvision or transformers state dict; the network's size follows from it."""
    state = vit_state(read_state(file))
    vit = ViTModel(vit_config(state, file), add_pooling_layer=False)
    require_fit(vit.state_dict(), state, str(file))
    vit.load_state_dict(state)
    return vit
