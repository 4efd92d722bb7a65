"""What the services need once: buckets, a work pool, deployments, automations. Again it changes nothing: what somebody
has paused or disabled stays so.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from components.errors import SettingsError
from components.settings import REPOSITORY
from components.store import S3Store
from flows.automations import make_automations
from flows.context import store

POOL = "ferline"
DEPLOYMENTS = REPOSITORY / "infra" / "prefect.yaml"
WAIT_SECONDS = 180.0

Tell = Callable[[str], None]


def prepare(buckets: list[str], tell: Tell) -> None:
    """All of it, in the order in which it is needed. Raises SettingsError, StoreError."""
    place = store()
    if isinstance(place, S3Store):
        for name in dict.fromkeys([place.bucket, *buckets]):
            tell(f"bucket {name} {'made' if place.make_bucket(name) else 'is there'}")
    _wait_for_prefect()
    tell(f"work pool {POOL} {'made' if _make_pool() else 'is there'}")
    with _kept_paused():
        _deploy()
    tell("deployments of infra/prefect.yaml made or renewed")
    for name in make_automations():
        tell(f"automation {name!r} made or renewed")


def _wait_for_prefect() -> None:
    """Until the server answers: it may start at the same time."""
    deadline = time.monotonic() + WAIT_SECONDS
    with get_client(sync_client=True) as client:
        while (problem := client.api_healthcheck()) is not None:
            if time.monotonic() > deadline:
                raise SettingsError(f"Prefect's server at {client.api_url} does not answer: {problem}.")
            time.sleep(1)


def _make_pool() -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
            return True
    return False


@contextmanager
def _kept_paused() -> Iterator[None]:
    """Deployments that somebody has paused are paused afterwards too: `prefect deploy` starts them again."""
    with get_client(sync_client=True) as client:
        paused = [deployment.id for deployment in client.read_deployments() if deployment.paused]
    try:
        yield
    finally:
        with get_client(sync_client=True) as client:
            for id in paused:
                client.pause_deployment(id)


def _deploy() -> None:
    program = Path(sys.executable).parent / "prefect"
    command = [str(program), "--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise SettingsError(f"the deployments could not be made: {(done.stdout + done.stderr).strip()[-2000:]}")
