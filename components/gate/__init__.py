"""Decide by rules kept as data whether a challenger may replace the champion."""

from components.gate.decide import EvaluatedModel, NewData, decide
from components.gate.policy import BehaviourFloors, ChampionRules, GatePolicy, load_policy
from components.gate.records import Candidate, Decision, RuleVerdict

__all__ = [
    "BehaviourFloors",
    "Candidate",
    "ChampionRules",
    "Decision",
    "EvaluatedModel",
    "GatePolicy",
    "NewData",
    "RuleVerdict",
    "decide",
    "load_policy",
]
