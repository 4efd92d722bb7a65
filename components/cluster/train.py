"""`python -m components.cluster.train --workers 2 --preset compact --data DATASET --out RUN`.

The training of components/training, data-parallel in Ray Train's workers: each is one process of the same group that
torchrun would start. The run folder, which all nodes must see, is the same; so is resuming: where a worker dies the
group is started again and goes on from the last whole checkpoint.
"""

import logging
import shutil
import sys
from typing import Any

from components.cluster.connect import cause, cluster, gpus_each
from components.training import read_summary
from components.training.__main__ import parser, run
from components.training.loop import batch_share
from components.training.recipes import places_here
from components.training.records import RunSummary
from components.training.train import Job, train

MOST_FAILURES = 3


def train_on_ray(job: Job, workers: int, address: str) -> RunSummary:
    """Train in `workers` processes of a cluster, a GPU each where it has any.

    Raises RecipeError before a worker starts where the batch cannot be shared; ClusterError, also where GPUs are too
    few or workers die again and again; whatever `train` raises.
    """
    batch_share(job.recipe, workers)
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    with cluster(address, workers) as gpus:
        state = job.out.absolute().with_name(f".{job.out.name}.ray")
        with_gpu = gpus_each(gpus, workers, may_wait=False) > 0
        scaling = ScalingConfig(num_workers=workers, use_gpu=with_gpu, resources_per_worker={"CPU": 1})
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": _absolute(job)},
            scaling_config=scaling,
            run_config=RunConfig(
                name=job.out.name, storage_path=str(state), failure_config=FailureConfig(max_failures=MOST_FAILURES)
            ),
        )
        try:
            trainer.fit()
        except Exception as error:
            raise cause(error) from error
        finally:
            shutil.rmtree(state, ignore_errors=True)
    return read_summary(job.out)


def _worker(config: dict[str, Any]) -> None:
    logging.getLogger().setLevel(logging.WARNING)  # Ray lets every library speak
    train(config["job"], lambda line: print(line, flush=True))


def _absolute(job: Job) -> Job:
    """Workers start in folders of their own."""
    sample = job.sample.absolute() if job.sample else None
    places = places_here(job.recipe) | {uri: path.absolute() for uri, path in job.places.items()}
    shared = job.shared.absolute() if job.shared else None
    return Job(job.preset, job.recipe, job.data.absolute(), job.out.absolute(), sample, places, shared)


def main(arguments: list[str] | None = None) -> int:
    """Train; the process's status, with one line of error."""
    options = parser()
    options.prog = "python -m components.cluster.train"
    options.add_argument("--workers", type=int, default=2, help="processes of the training (default: %(default)s)")
    options.add_argument("--address", default="", help="a Ray cluster; one of this machine if absent")
    chosen = options.parse_args(arguments)
    return run(chosen, lambda job: train_on_ray(job, chosen.workers, chosen.address))


if __name__ == "__main__":
    sys.exit(main())
