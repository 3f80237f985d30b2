"""What every model of a bundle promises; all in NumPy, so that who needs no torch does without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.context.rows import row_sums
from genood.errors import ConfigError
from genood.recipes import MUTATED, NO_BACKGROUND, Precision
from genood.sequence import Codes


class Model(ABC):
    """What a bundle can hold: a configuration, weights, and a device that it runs on.

    A subclass is one file and one line in `MODELS` or `CLASSIFIERS`. One that runs on torch is a
    `genood.models.network.Network`, which has the methods for weights and devices.
    """

    kind: ClassVar[str]
    """The model's name in `MODELS` or `CLASSIFIERS`."""
    batch_bases: ClassVar[int] = 65_536
    """Bases that it scores best at a time."""
    piece_bases: ClassVar[int | None] = None
    """Bases beyond which it scores sequences in pieces; None where it takes any length whole."""
    side_by_side: ClassVar[bool] = False
    """Whether it scores windows of reads best side by side, each on one thread: the threads of one window
    wait for each other."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The configuration as JSON types."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an untrained model.

        Raises
        ------
        ConfigError
            A value or a key that the model does not know.
        """

    @classmethod  # noqa: B027 (most have nothing to do)
    def prepare(cls) -> None:
        """Do ahead what the first use would wait for, as far as it needs no weights; if anything."""

    @abstractmethod
    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """All that is to be saved beside the configuration, by name; may share the model's memory."""

    @classmethod
    @abstractmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Make a model with the weights of one that was saved, on the CPU, to be used and not trained.

        It may share the memory of the weights, or the file that is mapped there.

        Raises
        ------
        ConfigError
            As `from_config`.
        RuntimeError
            The weights do not fit the configuration.
        """

    @property
    def device(self) -> str:
        """Where it is, as torch names devices."""
        return "cpu"

    def on(self, device: str) -> Self:
        """The same model, there from now on; one that runs on CPUs alone stays on the CPU.

        Parameters
        ----------
        device
            As `genood.models.device.resolve_device` takes it; ``auto`` is the best that this model can use.

        Raises
        ------
        ConfigError
            No such device on this machine.
        """
        return self

    def compute_in(self, precision: Precision) -> None:
        """Choose what matrix products run in from now on, where the model is asked and not trained.

        Raises
        ------
        ConfigError
            The model has no such products and `precision` is bf16.
        """
        if precision == "bf16":
            raise ConfigError(
                f"a {self.kind} model has no matrix products to run in bf16; leave --precision out"
            )


def check_arrays(
    arrays: Mapping[str, npt.NDArray[Any]],
    dtypes: Mapping[str, npt.DTypeLike],
    shapes: Mapping[str, tuple[int, ...]],
    what: str,
) -> None:
    """Raise RuntimeError unless the weights of a model have these names, types and shapes; `what` it is."""
    if arrays.keys() != dtypes.keys():
        differing = ", ".join(sorted(arrays.keys() ^ dtypes.keys()))
        raise RuntimeError(f"missing, or not of {what}: {differing}")
    for name, array in arrays.items():
        if array.dtype != dtypes[name]:
            raise RuntimeError(f"{name} is {array.dtype}, not {np.dtype(dtypes[name])}")
        if array.shape != shapes[name]:
            raise RuntimeError(f"{name} is of shape {array.shape}, not {shapes[name]}")


class DensityModel(Model):
    """A distribution over reads, factored from the first base to the last.

    The tests in ``tests/models/test_contract.py`` hold a subclass to this contract:

    * Results depend neither on the other reads of a batch nor on padding.
    * Any read length works: beyond what the model holds at once it carries its state on.
    * `from_weights(model.config(), model.weights())` makes the same model.
    """

    backgrounds: ClassVar[tuple[str, ...]] = (MUTATED,)
    """Backgrounds that it can be compared with; all but `MUTATED` it derives from itself."""
    differentiable: ClassVar[bool] = False
    """Whether it has `layer_gradients`."""
    names_classes: ClassVar[bool] = False
    """Whether it knows which class explains a read best."""
    leaves_files_out: ClassVar[bool] = False
    """Whether it can judge a read without a file of the reference that it knows."""

    @abstractmethod
    def log_probs(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Natural-log probability of each base given the bases before it.

        Parameters
        ----------
        codes
            uint8, shape (B, L), codes from 0 to 4, padded on the right with any of them.
        lengths
            int64, shape (B,), in bases.

        Returns
        -------
        log_probs
            float32, shape (B, L), nats; 0 beyond a read's end and where its base is unknown. The first
            base has one too.
        """

    def log_probs_with_background(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Log-probabilities, and those of a background.

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.
        background
            The model, or the name of one that this model derives from itself and which may look at the
            whole read, or `NO_BACKGROUND` for zeros.
        without_files
            int64 (B,): a file of the reference that a read must be judged without; -1 for none.
        leading
            int64 (B,), of a model that `names_classes`: receives the class that explains each read best.

        Returns
        -------
        log_probs, background_log_probs
            float32 (B, L), nats; 0 where not scored.
        """
        if without_files is None and leading is None:
            if isinstance(background, DensityModel):
                return self.log_probs(codes, lengths), background.log_probs(codes, lengths)
            if background == NO_BACKGROUND:
                log_p = self.log_probs(codes, lengths)
                return log_p, np.zeros_like(log_p)
        elif isinstance(background, DensityModel):
            log_p, _ = self.log_probs_with_background(codes, lengths, NO_BACKGROUND, without_files, leading)
            of_other = background.log_probs_with_background(codes, lengths, NO_BACKGROUND, without_files)
            return log_p, of_other[0]
        raise NotImplementedError(f"{self.kind} has no background of its own")

    def log_likelihoods(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Log-likelihoods, and those of a background, where what is said of single bases is not wanted.

        Parameters
        ----------
        codes, lengths, background, leading
            See `log_probs_with_background`.

        Returns
        -------
        log_likelihoods, background_log_likelihoods
            float64 (B,), nats: to the last bit, `row_sums` of the log-probabilities.
        """
        log_p, of_background = self.log_probs_with_background(codes, lengths, background, leading=leading)
        return row_sums(log_p), row_sums(of_background)

    def layer_gradients(
        self, codes: Codes, lengths: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Derivatives of each read's log-likelihood, by layer; only of models that are `differentiable`.

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.

        Returns
        -------
        gradients
            By the layer's name, float32, shape (B, ...) with that of its weights after the reads.
        """
        raise NotImplementedError(f"{self.kind} has no gradients")


@dataclass(frozen=True, kw_only=True, eq=False)
class Classified:
    """What a classifier of K classes gives for B reads.

    Attributes
    ----------
    logits
        float32, shape (B, K).
    features
        float32, shape (B, F): what its last layer is given.
    weight, bias
        The last layer, the same for all reads: float32, shapes (K, F) and (K,), so that the logits are
        ``features @ weight.T + bias``.
    mutated_class
        The class of mutated reads, where there is one.
    """

    logits: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    mutated_class: int | None = None


class Classifier(Model):
    """Tells the classes of the reference apart, read by read.

    The tests in ``tests/models/test_classifiers.py`` hold a subclass to this contract:

    * Results depend neither on the other reads of a batch nor on padding.
    * Any read length works, 0 too.
    * `from_weights(model.config(), model.weights())` makes the same model.
    """

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Classes of the reference; its outputs may be others."""

    @property
    @abstractmethod
    def mutated_class(self) -> int | None:
        """Which of its outputs is that of mutated reads, where there is one."""

    @abstractmethod
    def classify(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> Classified:
        """Logits and features of reads.

        Parameters
        ----------
        codes
            uint8, shape (B, L), codes from 0 to 4, padded on the right with any of them.
        lengths
            int64, shape (B,), in bases.
        """
