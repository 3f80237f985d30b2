"""Detectors: anything that turns a read into an OOD score, higher meaning more OOD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genood.registry import Registry

if TYPE_CHECKING:
    from genood.detectors.base import Detector

DETECTORS: Registry[Detector] = Registry(
    {
        "llr": "genood.detectors.llr:LikelihoodRatio",
        "likelihood": "genood.detectors.likelihood:Likelihood",
        "max-probability": "genood.detectors.max_probability:MaxProbability",
        "entropy": "genood.detectors.entropy:Entropy",
        "odin": "genood.detectors.odin:Odin",
        "mahalanobis": "genood.detectors.mahalanobis:Mahalanobis",
        "relative-mahalanobis": "genood.detectors.relative_mahalanobis:RelativeMahalanobis",
        "max-logit": "genood.detectors.max_logit:MaxLogit",
        "energy": "genood.detectors.energy:Energy",
        "knn": "genood.detectors.knn:Knn",
        "mutated-probability": "genood.detectors.mutated_probability:MutatedProbability",
        "waic": "genood.detectors.waic:WAIC",
        "rose-diagonal": "genood.detectors.rose_diagonal:RoseDiagonal",
        "rose-ekfac": "genood.detectors.rose_ekfac:RoseEKFAC",
        "input-complexity": "genood.detectors.input_complexity:InputComplexity",
        "mlr": "genood.detectors.mlr:MarkovLikelihoodRatio",
    }
)
"""Detectors by the name that ``--detector`` takes."""

DEFAULT_DETECTOR = "llr"
