"""batch-predict: a registered version answers folders or S3 prefixes of any size, here or on a Ray cluster."""

from functools import partial

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.offline import predict_batch
from flows.parameters import BatchParameters
from flows.tasks import AGAIN
from serving.batch import BatchScored

EVERY = 10
"""Parts between two lines of the log."""


@flow(name="batch-predict")
def batch_predict(batch: BatchParameters) -> BatchScored:
    """Score pictures into Parquet parts; what is there already is not done again."""
    done = score_task(batch)
    create_table_artifact(key="batch-predict", table=[vars(done)], description="What became of the pictures")
    return done


@task(name="score", timeout_seconds=7 * 24 * 3600, cache_policy=NO_CACHE, **AGAIN)
def score_task(batch: BatchParameters) -> BatchScored:
    """One job over all workers: a second try takes what is missing."""
    return predict_batch(batch, partial(_say, [0]))


def _say(count: list[int], stage: str, done: int, total: int) -> None:
    count[0] += 1
    if count[0] % EVERY == 0 or done == total:
        get_run_logger().info("%s: %d of %d", stage, done, total)
