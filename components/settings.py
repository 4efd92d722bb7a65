"""Addresses, folders and credentials, from FERLINE_* variables or a `.env` file.

Read at the edges (flows, serving, CLI) and handed down as arguments; the core never imports this.
"""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.store import RETRIES, Store, open_store

REPOSITORY = Path(__file__).parents[1]
"""The clone, or wherever the packages are installed: a worker starts its runs in folders of their own."""


class Settings(BaseSettings):
    """Every FERLINE_* variable."""

    model_config = SettingsConfigDict(
        env_prefix="FERLINE_",
        env_file=(REPOSITORY / ".env", ".env"),
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    home: Path = Field(
        REPOSITORY / ".ferline", description="Folder that holds all local state; `.ferline/` in the clone by default."
    )
    store: str = Field("", description="Where artifacts live: a folder or s3://bucket/prefix. Empty: `<home>/store`.")
    tracking_uri: str = Field("", description="MLflow tracking server or database. Empty: SQLite in `<home>`.")
    model_name: str = Field("ferline-fer", description="Name of the registered model.")
    s3_endpoint: str = Field("", description="host:port or URL of the S3 server.")
    s3_access_key: SecretStr | None = Field(None, description="S3 access key.")
    s3_secret_key: SecretStr | None = Field(None, description="S3 secret key.")
    s3_region: str = Field("us-east-1", description="S3 region.")
    serve_version: str = Field("champion", description="Alias or version that is served; a number pins it.")
    serve_poll_seconds: float = Field(10.0, gt=0, description="Time between two looks at the served alias, seconds.")
    serve_body_mb: float = Field(10.0, gt=0, description="Largest request body that is read, MB.")
    serve_batch: int = Field(64, ge=1, description="Most pictures in one request to /predict_batch.")
    serve_workers: int = Field(1, ge=1, description="Processes that answer, each with the model; one uses all cores.")
    serve_timeout_seconds: float = Field(30.0, gt=0, description="Longest time for one request, seconds.")
    serve_canary: float = Field(
        0.0, ge=0, le=1, description="Share of the clients, 0 to 1, whose requests `challenger` answers."
    )
    serve_shadow: bool = Field(False, description="Let `challenger` answer beside the champion, for the log alone.")
    serve_keys: Path | None = Field(None, description="File of API keys (`ferline keys`). Empty: nobody needs one.")
    serve_origins: str = Field("", description="Origins, with commas between, whose pages may ask (CORS).")
    serve_webhook_secret: SecretStr | None = Field(None, description="Secret of MLflow's webhook to `/hooks/mlflow`.")
    log_pixels: bool = Field(False, description="Keep the face crops with the logged predictions.")
    log_seconds: float = Field(60.0, gt=0, description="Time between two shipments of the prediction log, seconds.")
    log_days: int = Field(90, ge=0, description="Days that logged predictions are kept; 0 keeps them for good.")
    policy: Path = Field(
        REPOSITORY / "infra" / "policy", description="Folder with validation.yaml, gate.yaml and drift.yaml."
    )
    ray_address: str = Field(
        "", description="Ray cluster for `backend: ray`, such as `head:6379` or `auto`. Empty: one of this machine."
    )
    notify: SecretStr | None = Field(
        None, description="Where notices of drift and retraining go: Apprise addresses, spaces between, such as "
        "`json://host/path` or `mailtos://user:password@host`. Empty: nowhere."
    )  # fmt: skip

    @property
    def root(self) -> Path:
        """Absolute home folder."""
        return self.home.expanduser().absolute()

    @property
    def store_uri(self) -> str:
        return self.store or str(self.root / "store")

    @property
    def mlflow_uri(self) -> str:
        return self.tracking_uri or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def cache(self) -> Path:
        """Local copies of stored artifacts."""
        return self.root / "cache"

    @property
    def spool(self) -> Path:
        """Folder of the predictions that the store does not hold yet."""
        return self.root / "predictions"

    @property
    def workspace(self) -> Path:
        """Evidently's workspace, behind the drift dashboard."""
        return self.root / "evidently"

    @property
    def runs(self) -> Path:
        """Training run folders in progress."""
        return self.root / "runs"


def settings_store(s: Settings, uri: str = "", retries: int = RETRIES) -> Store:
    """The store of the settings, or another one on the same server. Raises StoreError."""
    access, secret = (key.get_secret_value() if key else "" for key in (s.s3_access_key, s.s3_secret_key))
    return open_store(
        uri or s.store_uri, endpoint=s.s3_endpoint, access_key=access, secret_key=secret, region=s.s3_region,
        retries=retries,
    )  # fmt: skip


def load_settings() -> Settings:
    """Settings as the environment gives them now."""
    return Settings()  # type: ignore[call-arg]  # pydantic fills the fields
