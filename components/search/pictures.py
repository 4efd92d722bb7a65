"""A study as pictures: history, importance, parallel coordinates."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

from components.search.study import Study

matplotlib.use("Agg")


def draw(study: Study, folder: Path) -> list[Path]:
    """history.png, importance.png and parallel.png of the complete trials; those that can be drawn already."""
    import matplotlib.pyplot as plt
    from optuna.importance import MeanDecreaseImpurityImportanceEvaluator
    from optuna.visualization import matplotlib as views

    complete = [trial for trial in study.trials() if trial.state == "complete"]
    if len(complete) < 2 or len({trial.macro_f1 for trial in complete}) < 2:
        return []
    forest = MeanDecreaseImpurityImportanceEvaluator(seed=0)
    pictures: dict[str, Callable[[], Any]] = {
        "history": lambda: views.plot_optimization_history(study.study, target_name="macro-F1"),
        "importance": lambda: views.plot_param_importances(study.study, evaluator=forest, target_name="macro-F1"),
        "parallel": lambda: views.plot_parallel_coordinate(study.study, target_name="macro-F1"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks these views as experimental
        for name, view in pictures.items():
            view()
            figure = plt.gcf()
            figure.set_size_inches(11, 5)
            figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
            plt.close(figure)
    return [folder / f"{name}.png" for name in pictures]
