"""Score an exported model honestly: figures with intervals, calibration, slices, behaviour, tables and pictures."""

from components.evaluation.records import BehaviourFigures, ClassFigures, Evaluation, Figures, Interval, SliceFigures

__all__ = ["BehaviourFigures", "ClassFigures", "Evaluation", "Figures", "Interval", "SliceFigures"]
