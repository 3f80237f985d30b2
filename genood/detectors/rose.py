"""What both ROSE detectors share: a score by layer, normalised, and the largest of them."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch

Matrix = npt.NDArray[np.float64]
Parts = dict[str, npt.NDArray[np.float64]]
K = TypeVar("K", bound=Hashable)


class Rose(Detector):
    """Score statistics of the layers of a density model; a subclass approximates the Fisher information.

    With s_l the gradient of a read's log-likelihood with respect to the weights of layer l, over the root
    of its n scored bases, and F_l the Fisher information of these weights by base, E[s_l s_lᵀ] over
    training reads, the OOD score is

        max_l ReLU((s_lᵀ F_l⁻¹ s_l − m_l) / d_l),

    where m_l and d_l are mean and standard deviation of the quadratic form over training reads.

    Parameters
    ----------
    damping
        What is added to each of F_l's eigenvalues in the basis of the approximation, as a multiple of
        their mean, so that directions that training reads do not move count little.

    Notes
    -----
    Source: Choi et al. 2021, "Robust Out-of-Distribution Detection on Deep Probabilistic Generative
    Models", ROSE.

    Differs from the paper: gradients are divided by the root of the number of bases, as which they grow
    where the model is right, so that reads of all lengths can be compared; at one length this changes
    nothing. The damping is genood's own choice.
    """

    needs = frozenset({"likelihood", "gradients"})
    requires_fit: ClassVar[bool] = True

    def __init__(self, damping: float = 1e-3) -> None:
        self.damping = damping
        self._layers: dict[str, Parts] = {}

    def fit(self, batches: Iterable[ScoreBatch]) -> Self:
        """See `Detector.fit`; goes through the reads two times or three."""
        self._layers = self.fit_fisher(batches)
        forms = defaultdict(list)
        for batch in batches:
            for name, values in self._forms(batch).items():
                forms[name].append(values)
        for name, parts in self._layers.items():
            values = np.concatenate(forms[name])
            parts["mean"] = np.array([values.mean()])
            parts["deviation"] = np.array([max(values.std(), np.finfo(np.float64).tiny)])
        return self

    @abstractmethod
    def fit_fisher(self, batches: Iterable[ScoreBatch]) -> dict[str, Parts]:
        """By layer, what `form` needs, of the gradients of reads."""

    @abstractmethod
    def form(self, parts: Mapping[str, Matrix], gradient: Matrix) -> float:
        """sᵀ F⁻¹ s of a layer.

        Parameters
        ----------
        parts
            What `fit_fisher` gave for the layer.
        gradient
            float64, shape (out, in).
        """

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """See `Detector.state`: the parts of each layer, after its name and a dot."""
        return {
            f"{layer}.{part}": array for layer, parts in self._layers.items() for part, array in parts.items()
        }

    def load_state(self, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Detector.load_state`."""
        layers: dict[str, Parts] = defaultdict(dict)
        for key, array in state.items():
            layer, _, part = key.rpartition(".")
            layers[layer][part] = array
        self._layers = dict(layers)
        return self

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; standard deviations above the mean of training reads, at least 0."""
        forms = self._forms(batch)
        normalised = [
            (forms[layer] - parts["mean"]) / parts["deviation"] for layer, parts in self._layers.items()
        ]
        return batch.where_scored(np.maximum(np.max(normalised, axis=0), 0.0))

    def _forms(self, batch: ScoreBatch) -> dict[str, Matrix]:
        """sᵀ F⁻¹ s of each read, (B,), by layer."""
        return {
            layer: np.array([self.form(self._layers[layer], gradient) for gradient in gradients])
            for layer, gradients in gradients_by_base(batch).items()
        }


def gradients_by_base(batch: ScoreBatch) -> dict[str, Iterator[Matrix]]:
    """By layer, the gradient of each read over the root of its scored bases, as (out, in).

    One after another, as float64 of all together might not fit into memory. Vectors are one row.
    """
    if batch.gradients is None:
        raise ValueError("the batch has no gradients")
    roots = np.sqrt(np.maximum(batch.num_scored, 1))

    def of_layer(gradients: npt.NDArray[np.float32]) -> Iterator[Matrix]:
        rows = gradients.shape[1] if gradients.ndim > 2 else 1
        for gradient, root in zip(gradients, roots, strict=True):
            yield gradient.astype(np.float64).reshape(rows, -1) / root

    return {name: of_layer(gradients) for name, gradients in batch.gradients.items()}


def each_gradient(batches: Iterable[ScoreBatch]) -> Iterator[tuple[str, Matrix]]:
    """The gradients of all reads of batches, see `gradients_by_base`, with the names of their layers."""
    for batch in batches:
        for layer, gradients in gradients_by_base(batch).items():
            for gradient in gradients:
                yield layer, gradient


def mean_over_reads(terms: Iterable[tuple[K, Matrix]]) -> dict[K, Matrix]:
    """Means of matrices by name, which come one by one."""
    sums: dict[K, Matrix] = {}
    numbers: dict[K, int] = defaultdict(int)
    for name, term in terms:
        numbers[name] += 1
        if name in sums:
            sums[name] += term
        else:
            sums[name] = term.copy()
    return {name: total / numbers[name] for name, total in sums.items()}


def inverse_of(eigenvalues: Matrix, damping: float) -> Matrix:
    """1 / (eigenvalues + damping · their mean); zeros where all are zero, as nothing is known of them."""
    added = damping * eigenvalues.mean()
    if not eigenvalues.any():
        return np.zeros_like(eigenvalues)
    return 1.0 / (eigenvalues + added)
