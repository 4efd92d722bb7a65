"""What is decided about a cluster in words and numbers: GPUs for each worker, what stops trials early, a refusal."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray._private.services import get_node_to_connect_for_driver
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from components.cluster.connect import _refusal, gpus_each
from components.cluster.tune import scheduler
from components.errors import ClusterError


@given(gpus=st.integers(0, 64), workers=st.integers(1, 64))
def test_every_worker_has_a_gpu_of_its_own_wherever_there_are_any(gpus: int, workers: int) -> None:
    assert gpus_each(gpus, workers, may_wait=True) == (1 if gpus else 0)
    if 0 < gpus < workers:
        with pytest.raises(ClusterError, match=f"ask for {gpus} with --workers"):
            gpus_each(gpus, workers, may_wait=False)
    else:
        assert gpus_each(gpus, workers, may_wait=False) == (1 if gpus else 0)


@pytest.mark.parametrize("epochs", [1, 3, 40])
def test_halving_lets_the_longest_trial_tell_of_each_epoch_and_of_its_score(epochs: int) -> None:
    chosen = scheduler(True, epochs)
    assert isinstance(chosen, ASHAScheduler)
    assert chosen._max_t >= epochs + 1


def test_a_search_without_early_stops_has_none_on_ray_either() -> None:
    assert type(scheduler(False, 3)) is FIFOScheduler


def test_a_machine_that_is_no_node_is_told_how_to_become_one() -> None:
    words = "No node info found matching attributes"
    assert words in inspect.getsource(get_node_to_connect_for_driver), "what Ray says there"
    said = _refusal("head:6379", RuntimeError(f"{words}: '' when trying to resolve node to connect to."))
    assert "this machine is no node of it: run `ray start --address head:6379 --num-cpus 0` here first" in said
    assert _refusal("head:1", ConnectionError("refused.\nmore")) == "no Ray cluster answers at head:1: refused."
