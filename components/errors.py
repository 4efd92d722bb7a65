"""The one error tree. Raised in the core, rendered at the edge (CLI, flow, HTTP).

    FerlineError
    ├── DataError          a source or a dataset version is not what it should be
    │   ├── DatasetCorrupt a stored dataset version fails its hashes
    │   └── BadPicture     a picture that was sent is broken, too small, or of no use
    │       ├── UnknownPictureType, PictureTooLarge
    │       └── NoFace     nobody was found in it
    ├── DatasetOutdated    the log changed while a dataset version was made of it; made anew it is right
    ├── RequestError       a request is not of a form that is answered; says its own status
    ├── ValidationFailed   a blocking expectation failed; training must not start
    ├── RecipeError        a recipe, preset or override is wrong
    ├── TrainingError      training ended without a usable model
    │   └── TrainingHopeless  it would end the same way again
    ├── ModelNotFound      no such model, version, alias, hub id or weight file
    ├── PredictionNotFound no such prediction is on record
    ├── ClusterError       a Ray cluster does not answer, or has too little room
    ├── GateError          a promotion without a passing decision, or a stale one; PrivateTest a second time
    ├── RegistryError      the registered model fails its own check, or the registry refuses
    └── StoreError         an object cannot be read or written
        ├── StoreNotFound  it is not there
        └── StoreUnreachable  the server does not answer, or refuses the credentials

A message says which value, where (file, row), what is allowed or present, and what to do.
"""


class FerlineError(Exception):
    """Any error ferline explains to a person."""

    http_status = 500


class DataError(FerlineError):
    """A source or a dataset is not what it should be."""

    http_status = 422


class DatasetCorrupt(DataError):
    """A stored dataset version fails its hashes or lacks a file."""


class DatasetOutdated(FerlineError):
    """A dataset version was made of a log that has changed since."""


class BadPicture(DataError):
    """A picture that was sent is broken or too small."""


class UnknownPictureType(BadPicture):
    """It is no picture, or of a kind that is not read."""

    http_status = 415


class PictureTooLarge(BadPicture):
    """It has more pixels than are decoded."""

    http_status = 413


class RequestError(FerlineError):
    """A request that cannot be answered, with the HTTP status that says why."""

    def __init__(self, http_status: int, message: str, retry_after: int | None = None) -> None:
        """retry_after: seconds after which the same request may be answered."""
        super().__init__(message)
        self.http_status, self.retry_after = http_status, retry_after


class NoFace(BadPicture):
    """A face was asked for and none was found."""


class ValidationFailed(DataError):
    """A blocking expectation failed; nothing may be trained on this dataset."""


class RecipeError(FerlineError):
    """A recipe, a preset name or a `--set` override is wrong."""

    http_status = 422


class TrainingError(FerlineError):
    """Training ended without a usable model."""


class TrainingHopeless(TrainingError):
    """The same training would end so again: its loss is no number, or its folder holds another run."""


class ModelNotFound(FerlineError):
    """No such model, version, alias, hub id or weight file."""

    http_status = 404


class PredictionNotFound(FerlineError):
    """No prediction of that id is on record."""

    http_status = 404


class SettingsError(FerlineError):
    """A setting, or this machine, does not allow what was asked."""


class ClusterError(FerlineError):
    """A Ray cluster does not answer, or has too few resources."""


class BackupError(FerlineError):
    """A backup cannot be made, is not whole, or would overwrite something."""


class GateError(FerlineError):
    """A promotion without a passing decision, or with one taken against another champion; PrivateTest a second time."""

    http_status = 409


class ChampionChanged(GateError):
    """Between a challenger's judgement and its promotion another model became champion."""


class RegistryError(FerlineError):
    """The registry refuses, or a registered model fails its own check."""


class StoreError(FerlineError):
    """An object cannot be read or written."""

    http_status = 503


class StoreNotFound(StoreError):
    """The object or version is not in the store."""

    http_status = 404


class StoreUnreachable(StoreError):
    """The server does not answer or refuses the credentials."""
