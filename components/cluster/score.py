"""Parts of a long job over the workers of a Ray cluster: Ray Data streams them, so memory does not grow with them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from components import errors
from components.cluster.connect import cause, cluster
from components.errors import FerlineError

Part = dict[str, Any]
Work = Callable[[Part], Part]
MOST_BLOCKS = 2000
_ERROR = "error of ours"


class _Worker:
    """Lives as long as its actor: what is costly to make is made once. An error of ours comes back as a row, since Ray
    Data keeps no more of an exception than its text."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self.make = make
        self.work: Work | None = None

    def __call__(self, part: Part) -> Part:
        try:
            self.work = self.work or self.make()
            return {_ERROR: "", **self.work(part)}
        except FerlineError as error:
            return {_ERROR: type(error).__name__, "said": str(error)}


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
            for row in done.iter_rows():
                kind = row.pop(_ERROR)
                if kind:
                    raise getattr(errors, kind)(row["said"])
                yield row
        except FerlineError:
            raise
        except Exception as error:
            raise cause(error) from error
