"""Score an exported model honestly: figures with intervals, calibration, slices, behaviour, tables and pictures.

Importing the room costs nothing; `evaluate.py`, `scoring.py` and `figures.py` bring their libraries with them:
`from components.evaluation.evaluate import evaluate`.
"""

from components.evaluation.records import BehaviourFigures, ClassFigures, Evaluation, Figures, Interval, SliceFigures
from components.evaluation.tables import classes_table, models_table

__all__ = [
    "BehaviourFigures",
    "ClassFigures",
    "Evaluation",
    "Figures",
    "Interval",
    "SliceFigures",
    "classes_table",
    "models_table",
]
