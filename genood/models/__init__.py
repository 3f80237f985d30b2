"""Density models, which give log p(x_d | x_<d) for every position of a read; and classifiers of reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genood.registry import Registry

if TYPE_CHECKING:
    from genood.models.base import Classifier, DensityModel

MODELS: Registry[DensityModel] = Registry(
    {
        "lstm": "genood.models.lstm:LSTM",
        "context": "genood.models.context:ContextModel",
        "markov": "genood.models.markov:MarkovModel",
        "sketch": "genood.models.sketch:SketchModel",
    }
)
"""Density models by the name that ``--model`` takes."""

CLASSIFIERS: Registry[Classifier] = Registry({"cnn": "genood.models.cnn:CNN"})
"""Classifiers by the name that ``--model`` takes."""
