"""The model that is shipped with the code: taken into a registry, and made of a version of one."""

import hashlib
from pathlib import Path

from components.evaluation.records import Evaluation
from components.ingest.synthetic import SyntheticOptions, generate
from components.labels import PRIVATE_TEST
from components.registry import (
    CHAMPION,
    ModelVersion,
    promote,
    read_decision,
    read_release,
    reconcile,
    register,
    write_release,
)
from flows.context import artifact, fetch, promotion_lock, registry, store

RELEASE = Path(__file__).parents[1] / "serving" / "release"
DRAWN, EXAMPLES = 700, 8


def import_release(folder: Path, who: str) -> ModelVersion:
    """Register a release; where nothing is champion it becomes that, by the decision it brings. A second time is none.

    Raises RegistryError (not whole, changed), GateError (the gate had rejected it).
    """
    package, decision = read_release(folder), read_decision(folder)
    models, artifacts = registry(), store()
    if models.find(CHAMPION) is None:  # where it was made there may have been one to beat
        decision = decision.where_none_is_champion()
    text = decision.to_json().encode()
    uri = artifacts.put_bytes(f"decisions/{hashlib.sha256(text).hexdigest()[:16]}.json", text)
    made = register(models, artifacts, package, who=who, lock_folder=promotion_lock(), decision_uri=uri)
    if models.find(CHAMPION) is None:
        promote(
            models, artifacts, version=made.version, decision=decision, decision_uri=uri, who=who,
            lock_folder=promotion_lock(), reason="shipped with ferline; nothing was champion",
        )  # fmt: skip
    return models.get(made.version)


def champion() -> ModelVersion | None:
    """Who is champion, after whatever a killed step left half done is finished."""
    return reconcile(registry(), store(), lock_folder=promotion_lock())


def export_release(version: str, out: Path) -> dict[str, int]:
    """A version that passed the gate as a release; file -> bytes. Its card has PrivateTest's figures if it was opened.

    Raises ModelNotFound, RegistryError.
    """
    found = registry().get(version)
    place = f"evaluations/{found.model_sha256[:16]}-{found.dataset}-{PRIVATE_TEST}"
    final = None
    if store().exists(place):
        final = Evaluation.from_json((fetch(place) / "evaluation.json").read_text())
    faces, _, _ = generate(SyntheticOptions(images=DRAWN))
    return write_release(artifact(found), faces[:: DRAWN // EXAMPLES][:EXAMPLES], out, final)
