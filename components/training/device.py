"""Where a training runs and in which arithmetic, each choice with its reason."""

from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class Device:
    """A detected choice."""

    kind: Literal["cuda", "cpu"]
    name: str
    bf16: bool
    reason: str


def choose_device(precision: Literal["auto", "fp32", "bf16"]) -> Device:
    """A GPU where there is one; bf16 where `auto` finds instructions for it."""
    if torch.cuda.is_available():
        bf16 = precision != "fp32" and torch.cuda.is_bf16_supported()
        return Device("cuda", torch.cuda.get_device_name(), bf16, f"CUDA is available; {_why(bf16, precision)}")
    fast = torch.cpu._is_avx512_bf16_supported()  # torch 2.14 has no public name for it
    bf16 = precision == "bf16" or (precision == "auto" and fast)
    name = f"CPU, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    return Device("cpu", name, bf16, f"no CUDA device; {_why(bf16, precision)}")


def _why(bf16: bool, precision: str) -> str:
    if precision != "auto":
        return f"{'bf16' if bf16 else 'fp32'} as the recipe says"
    return "bf16 because the device has instructions for it" if bf16 else "fp32 because the device has no fast bf16"
