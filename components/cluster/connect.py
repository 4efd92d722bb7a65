"""A connection to a Ray cluster, or a small one of this machine for as long as it is needed."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported
os.environ.setdefault("RAY_COLOR_PREFIX", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # each trial says much the same
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # Ctrl-C stops a search; Tune would end it as if it were done
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # ray's next default; without it a warning each time

import ray
from ray.exceptions import AuthenticationError

from components.errors import ClusterError, FerlineError

HERE = Path(__file__).parents[2]


@contextmanager
def cluster(address: str, workers: int) -> Iterator[int]:
    """Be connected; gives the number of GPUs there.

    address: `host:6379` or `auto`; empty for a cluster of this machine with `workers` slots, which
    ends with the block. Raises ClusterError where nothing answers or has room for so many workers.
    """
    _require_answer(address)
    try:
        if address:
            ray.init(address, log_to_driver=True, logging_level=logging.ERROR)
        else:
            ray.init(
                "local", num_cpus=workers, include_dashboard=False, log_to_driver=True, logging_level=logging.ERROR,
                runtime_env={"env_vars": {"PYTHONPATH": str(HERE)}},
            )  # fmt: skip
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, AuthenticationError) as error:
        if isinstance(error, AuthenticationError) or "InvalidAuthToken" in str(error.__cause__):
            raise ClusterError(
                f"the Ray cluster at {address} asks for its token: set RAY_AUTH_MODE=token here, and what "
                "`ray get-auth-token` says there in ~/.ray/auth_token or RAY_AUTH_TOKEN."
            ) from error
        raise ClusterError(_refusal(address, error)) from error
    try:
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if there.get("CPU", 0) < workers:
            raise ClusterError(
                f"{workers} workers are asked for, the cluster at {address} has {there.get('CPU', 0):.0f} CPUs: "
                "ask for fewer, or start more nodes."
            )
        yield int(there.get("GPU", 0))
    finally:
        ray.shutdown()


def _refusal(address: str, error: BaseException) -> str:
    """Why Ray did not connect, as a person can mend it."""
    if "No node info found" in str(error):
        return (
            f"the Ray cluster at {address} answers, but this machine is no node of it: run `ray start --address "
            f"{address} --num-cpus 0` here first; so it calls, and takes no work."
        )
    return f"no Ray cluster answers at {address or 'this machine'}: {_first(error)}."


def gpus_each(gpus: int, workers: int, may_wait: bool) -> int:
    """GPUs that each worker asks for: one where the cluster has any, since a process that was given none takes the
    first all the same.

    may_wait: whether workers can run one after another. Raises ClusterError where they cannot and GPUs are too few.
    """
    if gpus and gpus < workers and not may_wait:
        raise ClusterError(
            f"{workers} workers are asked for, a GPU each, and the cluster has {gpus}: ask for {gpus} with --workers, "
            "or start more nodes."
        )
    return min(gpus, 1)


def _require_answer(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Ray cluster answers at {address}: {error}.") from error


def cause(error: BaseException) -> FerlineError:
    """What went wrong in a worker, as it was raised there; Ray wraps it, differently from release to release."""
    found: list[BaseException] = [error]
    for one in found:
        found += [each for each in (one.__cause__, getattr(one, "cause", None)) if isinstance(each, BaseException)]
        found += list(getattr(one, "worker_failures", {}).values())
    ours = next((one for one in found if isinstance(one, FerlineError)), None)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ours or ClusterError(f"work on Ray failed: {lines[-1]}")


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
