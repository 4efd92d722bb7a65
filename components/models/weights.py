"""Weights from a file or folder: transformers', timm's and torchvision's names for one and the same ViT."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError  # what torch raises; nothing is unpickled here

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import ViTConfig

from components.errors import ModelNotFound

State = dict[str, Tensor]
Reshaped = tuple[str, Sequence[int], Sequence[int]]
"""Name of a tensor, the shape it has, the shape that is wanted."""

TIMM = (
    ("cls_token", "embeddings.cls_token"),
    ("pos_embed", "embeddings.position_embeddings"),
    (r"patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"blocks\.(\d+)\.norm1\.", r"layers.\1.layernorm_before."),
    (r"blocks\.(\d+)\.norm2\.", r"layers.\1.layernorm_after."),
    (r"blocks\.(\d+)\.attn\.proj\.", r"layers.\1.attention.o_proj."),
    (r"blocks\.(\d+)\.attn\.qkv\.", r"layers.\1.attention.qkv."),
    (r"blocks\.(\d+)\.mlp\.", r"layers.\1.mlp."),
    (r"norm\.", "layernorm."),
)
TORCHVISION = (
    ("class_token", "embeddings.cls_token"),
    (r"encoder\.pos_embedding", "embeddings.position_embeddings"),
    (r"conv_proj\.", "embeddings.patch_embeddings.projection."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.ln_1\.", r"layers.\1.layernorm_before."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.ln_2\.", r"layers.\1.layernorm_after."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.", r"layers.\1.attention.o_proj."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_", r"layers.\1.attention.qkv."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.", r"layers.\1.mlp.fc1."),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.", r"layers.\1.mlp.fc2."),
    (r"encoder\.ln\.", "layernorm."),
)
SAVED = (  # what save_pretrained writes, and the hub holds; in memory transformers 5 has other names
    (r"encoder\.layer\.(\d+)\.attention\.attention\.query\.", r"layers.\1.attention.q_proj."),
    (r"encoder\.layer\.(\d+)\.attention\.attention\.key\.", r"layers.\1.attention.k_proj."),
    (r"encoder\.layer\.(\d+)\.attention\.attention\.value\.", r"layers.\1.attention.v_proj."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.attention.o_proj."),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.mlp.fc1."),
    (r"encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.mlp.fc2."),
    (r"encoder\.layer\.(\d+)\.layernorm_", r"layers.\1.layernorm_"),
)
HEAD_WIDTH = 64  # every published ViT has heads of this width; a state dict does not tell
HEADS = re.compile(r"(heads?|fc_norm|pre_logits|classifier|pooler)\b")


def read_state(file: Path) -> State:
    """A safetensors or torch file of tensors; raises ModelNotFound for anything else."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ModelNotFound(f"{file} holds no tensors that can be read: {reason}") from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelNotFound(f"{file} holds no state dict: a mapping of names to tensors is asked for.")
    return {str(name): value for name, value in state.items()}


def vit_state(state: State) -> State:
    """A ViT's tensors under transformers' names, its classification head left out."""
    state = {re.sub(r"^(vit|module|model)\.", "", name): value for name, value in state.items()}
    renames = TIMM if "pos_embed" in state else TORCHVISION if "class_token" in state else SAVED
    named: State = {}
    for name, value in state.items():
        if HEADS.match(name):
            continue
        new = name
        for pattern, replacement in renames:
            new, changed = re.subn(f"^{pattern}", replacement, name)
            if changed:
                break
        named.update(_split(new, value))
    return named


def _split(name: str, value: Tensor) -> State:
    """One matrix for queries, keys and values becomes three."""
    if ".qkv." not in name:
        return {name: value}
    return {name.replace(".qkv.", f".{part}_proj."): v.clone() for part, v in zip("qkv", value.chunk(3), strict=True)}


def vit_config(state: State, file: Path) -> ViTConfig:
    """The size of a ViT from its tensors; raises ModelNotFound where they are no ViT's."""
    try:
        width, channels, patch, _ = state["embeddings.patch_embeddings.projection.weight"].shape
        side = round((state["embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
        hidden = state["layers.0.mlp.fc1.weight"].shape[0]
        depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    except (KeyError, ValueError) as error:
        raise ModelNotFound(
            f"{file} is no ViT's state dict: it lacks {error}; it begins with {', '.join(list(state)[:3])}."
        ) from error
    return ViTConfig(
        image_size=side * patch, patch_size=patch, num_channels=channels, hidden_size=width, num_hidden_layers=depth,
        num_attention_heads=max(1, width // HEAD_WIDTH), intermediate_size=hidden, layer_norm_eps=1e-6,
    )  # fmt: skip


def require_fit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], where: str) -> None:
    """Raises ModelNotFound with the first names and shapes that differ."""
    both = [name for name in wanted if name in state]
    require_none_differ(
        where,
        missing=[name for name in wanted if name not in state],
        reshaped=[(n, state[n].shape, wanted[n].shape) for n in both if state[n].shape != wanted[n].shape],
        unknown=[name for name in state if name not in wanted],
    )


def require_none_differ(
    where: str, missing: Sequence[str], reshaped: Sequence[Reshaped], unknown: Sequence[str]
) -> None:
    """Raises ModelNotFound with the first of these tensors, whatever found them."""
    wrong = [f"{name} is missing" for name in missing]
    wrong += [f"{name} is {list(found)}, not {list(wanted)}" for name, found, wanted in reshaped]
    wrong += [f"{name} is not known" for name in unknown]
    if wrong:
        raise ModelNotFound(f"{where} does not fit, {len(wrong)} tensors differ: {'; '.join(wrong[:3])}.")
