"""One registered version, loaded and checked, as it answers."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from components.evaluation.scoring import Outputs, open_model
from components.registry.check import check_folder, require_registered
from components.registry.records import ModelVersion, read_package

Crops = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A version that has answered its stored examples."""

    version: ModelVersion
    folder: Path
    """The registered artifact on this machine: model.onnx and extra_files/."""
    session: onnxruntime.InferenceSession
    size: tuple[int, int]
    """Height and width of the crops it takes."""
    has_rollout: bool
    package: dict[str, Any] = field(repr=False)
    """package.json: classes, dataset fingerprint, metrics, the confidence below which it is uncertain."""
    card: str = field(repr=False)
    decision: dict[str, Any] | None = field(repr=False)
    """What the gate decided about it; None for one that was promoted without."""

    def answer(self, crops: Crops) -> Outputs:
        """Answers to uint8 [N, height, width], N >= 1; the map too where there is one."""
        names = ["probabilities", "embedding", *(["rollout"] if self.has_rollout else [])]
        found = self.session.run(names, {"images": crops})
        return Outputs(found[0], found[2] if self.has_rollout else None, found[1])


def load_model(folder: Path, version: ModelVersion, threads: int | None = None) -> ServedModel:
    """Load, check against the stored examples and warm up; raises RegistryError or ModelNotFound with the reason."""
    checked = check_folder(folder)
    require_registered(checked, version.model_sha256, folder)
    package = read_package(folder)
    session = open_model(folder / "model.onnx", threads)
    height, width = session.get_inputs()[0].shape[1:]
    extra = folder / "extra_files"
    decision = json.loads((extra / "decision.json").read_text()) if (extra / "decision.json").exists() else None
    card = (extra / "model_card.md").read_text()
    model = ServedModel(
        version, folder, session, (height, width), "rollout" in checked.outputs, package, card, decision
    )
    for count in (1, 8):  # the first run of a shape plans its memory
        model.answer(np.zeros((count, height, width), np.uint8))
    return model
