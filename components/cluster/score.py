"""Parts of a long job over the workers of a Ray cluster: Ray Data streams them, so memory does not grow with them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from components.cluster.connect import cause, cluster

Part = dict[str, Any]
Work = Callable[[Part], Part]
MOST_BLOCKS = 2000


class _Worker:
    """Lives as long as its actor: what is costly to make is made once."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self.work = make()

    def __call__(self, part: Part) -> Part:
        return self.work(part)


def map_parts(make: Callable[[], Work], parts: Sequence[Part], workers: int, address: str) -> Iterator[Part]:
    """What `make()` made of each part, in any order, as each is done; a part whose worker dies is done again.

    make, and what it makes, are sent to the workers; parts and results are flat dictionaries. Raises ClusterError,
    and what a worker raised.
    """
    import ray.data

    with cluster(address, workers):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        rows = ray.data.from_items(list(parts), override_num_blocks=min(len(parts), MOST_BLOCKS))
        done = rows.map(
            _Worker,  # type: ignore[arg-type]  # a class with __call__ becomes an actor
            fn_constructor_args=(make,),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        try:
            yield from done.iter_rows()
        except Exception as error:
            raise cause(error) from error
