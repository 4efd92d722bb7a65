"""The model that is served now, and the watch over the alias that says which one it should be.

Every worker polls by itself. A moved alias is loaded and checked beside the model that serves; only then is one
reference exchanged. What cannot be loaded leaves the old model serving. With the registry away, also across a restart,
the last good version serves on from its local copy.
"""

import json
import logging
import random
import shutil
import threading
import time
import uuid
from dataclasses import asdict, replace
from pathlib import Path

from components.errors import FerlineError, ModelNotFound
from components.registry.mlflow import Registry
from components.registry.records import ModelVersion
from components.store import ABANDONED_S, sweep
from serving import metrics
from serving.model import ServedModel, load_model

log = logging.getLogger("ferline.serving")
WAKE = "wake"
"""A file that any worker touches so that every worker looks at once."""
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 5.0


class Champion:
    """Holds the served model; `current` is exchanged whole, so whoever took it goes on with it."""

    def __init__(
        self, registry: Registry, home: Path, wanted: str = "champion", poll_seconds: float = 10.0,
        optional: bool = False,
    ) -> None:  # fmt: skip
        """home: folder for local copies. wanted: alias, or a version's number to pin it. optional: a model whose alias
        is gone is let go, where the champion would serve on."""
        self.registry, self.home, self.wanted, self.poll_seconds = registry, home, wanted, poll_seconds
        self.optional = optional
        self.current: ServedModel | None = None
        self.problem = "nothing was loaded yet"
        """What the last look at the registry met; empty after a good one."""
        self._failed: str | None = None
        self._woken_at = 0
        self._looked = threading.Event()
        self._one_at_a_time = threading.Lock()

    def start(self) -> None:
        """Load the last good version where there is one, look at the registry, and go on watching in a thread.

        A registry that is away takes minutes to be given up: whoever has a model to answer with waits five seconds for
        it. An optional model is not taken from an earlier time: it may have been withdrawn.
        """
        self._woken_at = self._touched()
        if not self.optional:
            self._load_last_good()
        threading.Thread(target=self._watch, name="ferline-champion", daemon=True).start()
        can_wait = self.current is None and not self.optional
        self._looked.wait(None if can_wait else PATIENCE_SECONDS)

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
                    self._renew(version)
                    self._failed, self.problem = None, ""
                    return False
                if version.model_sha256 == self._failed:
                    return False  # it was told; another try would fail again
                self._swap(version)
            except ModelNotFound as error:
                if self.optional:
                    self._let_go()
                self._tell(str(error))
                return False
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
        known = self._folder(version).is_dir()
        folder = self._copy(version)
        try:
            model = load_model(folder, version)
        except FerlineError:
            shutil.rmtree(folder, ignore_errors=True)
            if known:  # it was the copy that was damaged, perhaps: a second one is fetched
                log.warning("the copy in %s cannot be served; fetching another", folder)
                self._swap(version)
                return
            self._failed = version.model_sha256
            metrics.FAILED_SWAPS.inc()
            raise
        self._failed, self.problem = None, ""
        self._take(model)
        self._remember(model)

    def _renew(self, version: ModelVersion) -> None:
        """The same model, with what has become of it since: its aliases, its standing."""
        if self.current is not None and self.current.version != version:
            self.current = replace(self.current, version=version)
            self._remember(self.current)

    def _let_go(self) -> None:
        if self.current is not None:
            metrics.SERVED.labels(self.current.version.version, self.wanted).set(0)
            log.info("%s is gone: version %s no longer answers", self.wanted, self.current.version.version)
        self.current = None

    def _take(self, model: ServedModel) -> None:
        before = self.current
        self.current = model
        if before is not None:
            metrics.SWAPS.inc()
            metrics.SERVED.labels(before.version.version, self.wanted).set(0)
        metrics.SERVED.labels(model.version.version, self.wanted).set(1)
        log.info("serving %s version %s", model.version.name, model.version.version)

    def _copy(self, version: ModelVersion) -> Path:
        """A copy of one's own of the registered artifact: what is served does not change under it."""
        folder = self._folder(version)
        if folder.is_dir():
            return folder
        sweep(self.home, ".*-*")  # downloads that were killed
        scratch = self.home / f".{folder.name}-{uuid.uuid4().hex}"  # the challenger's watch may fetch the same
        scratch.mkdir(parents=True)
        try:
            self.registry.download(version.version, scratch).rename(folder)
        except OSError:
            if not folder.is_dir():  # another worker was faster
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def _folder(self, version: ModelVersion) -> Path:
        return self.home / f"{version.version}-{version.model_sha256[:16]}"

    def _remember(self, model: ServedModel) -> None:
        record = {"schema_version": 1, "folder": model.folder.name, "version": asdict(model.version)}
        scratch = self.home / f".{self._last_good.name}-{uuid.uuid4().hex}"
        scratch.write_text(json.dumps(record))
        scratch.replace(self._last_good)
        self._prune()

    def _prune(self) -> None:
        """Remove copies that nobody goes back to; a young one may be another worker's that has not said so yet."""
        kept = {json.loads(record.read_text())["folder"] for record in self.home.glob("last-good-*.json")}
        for folder in self.home.glob("[0-9]*-*"):
            if folder.name not in kept and time.time() - folder.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def _last_good(self) -> Path:
        return self.home / f"last-good-{self.wanted}.json"

    def _load_last_good(self) -> None:
        try:
            record = json.loads(self._last_good.read_text())
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

    def wake(self) -> None:
        """Every worker of this machine looks at the registry now."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / WAKE).touch()

    def _watch(self) -> None:
        while True:
            self.refresh()
            self._looked.set()
            self._wait(self.poll_seconds * random.uniform(0.8, 1.2))  # workers do not ask in step

    def _wait(self, seconds: float) -> None:
        """So long, or until somebody wakes the workers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            threading.Event().wait(min(LOOK_SECONDS, seconds))  # libfaketime 0.9.10 breaks Python 3.11's time.sleep
            touched = self._touched()
            if touched != self._woken_at:
                self._woken_at = touched
                return

    def _touched(self) -> int:
        try:
            return (self.home / WAKE).stat().st_mtime_ns
        except OSError:
            return 0
