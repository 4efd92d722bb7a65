"""Energy of a training: the GPU's own counter, else codecarbon's estimate for the machine, else nothing."""

import contextlib
import logging
from typing import Any, Protocol

import torch

from components.training.device import Device

JOULES_PER_WH = 3600.0


class Meter(Protocol):
    """Reads energy since the reading before."""

    source: str

    def read_wh(self) -> float | None:
        """Watt-hours since the last call, None where nothing can be measured."""


class GpuCounter:
    """NVML's counter of the board that this process trains on, millijoules since the driver was loaded."""

    source = "NVML counter, GPU alone"

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        own = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid  # NVML counts boards hidden from us
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{own}")
        self._counter = pynvml.nvmlDeviceGetTotalEnergyConsumption
        self._last: int = self._counter(self._handle)

    def read_wh(self) -> float | None:
        now: int = self._counter(self._handle)
        spent, self._last = now - self._last, now
        return spent / 1000 / JOULES_PER_WH


class Estimate:
    """codecarbon: RAPL where it can be read, the processor's rated power times its load elsewhere."""

    def __init__(self) -> None:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # its own option counts after its first lines
        # Emissions depend on the country and are left to the reader; energy does not.
        self._tracker: Any = OfflineEmissionsTracker(
            country_iso_code="USA", output_methods=[], log_level="critical", allow_multiple_runs=True
        )
        self.source = "codecarbon, estimate for the whole machine's CPU and memory"
        self._tracker.start_task()

    def read_wh(self) -> float | None:
        spent = self._tracker.stop_task()
        self._tracker.start_task()
        return float(spent.energy_consumed) * 1000


class Unknown:
    """Neither is there."""

    source = "not measured"

    def read_wh(self) -> float | None:
        return None


def open_meter(device: Device) -> Meter:
    """The best meter this machine has; a missing library or a driver without the counter is no error."""
    for kind in (GpuCounter, Estimate) if device.kind == "cuda" else (Estimate,):
        with contextlib.suppress(Exception):
            return kind()
    return Unknown()
