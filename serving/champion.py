"""The model that is served now, and the watch over the alias that says which one it should be.

Every worker polls by itself. A moved alias is loaded and checked beside the model that serves; only then is one
reference exchanged. What cannot be loaded leaves the old model serving. With the registry away, also across a restart,
the last good version serves on from its local copy.
"""

import json
import logging
import os
import random
import shutil
import threading
from dataclasses import asdict
from pathlib import Path

from components.errors import FerlineError, ModelNotFound
from components.registry.mlflow import Registry
from components.registry.records import ModelVersion
from serving import metrics
from serving.model import ServedModel, load_model

log = logging.getLogger("ferline.serving")
LAST_GOOD = "last-good.json"


class Champion:
    """Holds the served model; `current` is exchanged whole, so whoever took it goes on with it."""

    def __init__(self, registry: Registry, home: Path, wanted: str = "champion", poll_seconds: float = 10.0) -> None:
        """home: folder for local copies. wanted: alias, or a version's number to pin it."""
        self.registry, self.home, self.wanted, self.poll_seconds = registry, home, wanted, poll_seconds
        self.current: ServedModel | None = None
        self.problem = "nothing was loaded yet"
        """What the last look at the registry met; empty after a good one."""
        self._failed = ""
        self._stopped = threading.Event()
        self._one_at_a_time = threading.Lock()

    def start(self) -> None:
        """Load what is wanted, or the last good version where that fails; then go on watching in a thread."""
        self.refresh()
        if self.current is None:
            self._load_last_good()
        threading.Thread(target=self._watch, name="ferline-champion", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def model(self) -> ServedModel:
        """The model to answer with; raises ModelNotFound where there is none."""
        if self.current is None:
            raise ModelNotFound(f"no model can be served: {self.problem}")
        return self.current

    def refresh(self) -> bool:
        """Look at the registry once; whether another model serves now."""
        with self._one_at_a_time:
            try:
                version = self.registry.get(self.wanted)
                if self._serves(version):
                    self._failed = self.problem = ""
                    return False
                if version.model_sha256 == self._failed:
                    return False  # it was told; another try would fail again
                self._swap(version)
            except FerlineError as error:
                self._tell(str(error))
                return False
            except Exception as error:  # a worker outlives whatever a registry's client may raise
                self._tell(f"{type(error).__name__}: {error}")
                return False
            return True

    def _serves(self, version: ModelVersion) -> bool:
        now = self.current
        return now is not None and now.version.model_sha256 == version.model_sha256 and bool(version.model_sha256)

    def _swap(self, version: ModelVersion) -> None:
        folder = self._copy(version)
        try:
            model = load_model(folder, version)
        except FerlineError:
            shutil.rmtree(folder, ignore_errors=True)
            self._failed = version.model_sha256
            metrics.FAILED_SWAPS.inc()
            raise
        self._failed, self.problem = "", ""
        self._take(model)
        self._remember(model)

    def _take(self, model: ServedModel) -> None:
        before = self.current
        self.current = model
        if before is not None:
            metrics.SWAPS.inc()
            metrics.SERVED.labels(before.version.version).set(0)
        metrics.SERVED.labels(model.version.version).set(1)
        log.info("serving %s version %s", model.version.name, model.version.version)

    def _copy(self, version: ModelVersion) -> Path:
        """A copy of one's own of the registered artifact: what is served does not change under it."""
        folder = self.home / f"{version.version}-{version.model_sha256[:16]}"
        if folder.is_dir():
            return folder
        scratch = self.home / f".{folder.name}-{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            self.registry.download(version.version, scratch).rename(folder)
        except OSError:
            if not folder.is_dir():  # another worker was faster
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def _remember(self, model: ServedModel) -> None:
        record = {"schema_version": 1, "folder": model.folder.name, "version": asdict(model.version)}
        scratch = self.home / f".{LAST_GOOD}-{os.getpid()}"
        scratch.write_text(json.dumps(record))
        scratch.replace(self.home / LAST_GOOD)

    def _load_last_good(self) -> None:
        try:
            record = json.loads((self.home / LAST_GOOD).read_text())
            version = ModelVersion(**record["version"])
            if self.wanted not in (version.version, *version.aliases):
                return
            self._take(load_model(self.home / record["folder"], version))
        except (OSError, ValueError, KeyError, TypeError, FerlineError) as error:
            log.warning("no earlier model to go on with: %s", error)

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem

    def _watch(self) -> None:
        while not self._stopped.wait(self.poll_seconds * random.uniform(0.8, 1.2)):  # workers do not ask in step
            self.refresh()
