"""A Markov chain of fixed order: what followed each context of a reference, counted and smoothed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.context.dense import Bytes, Counts, interpolate, lower_orders, start_of, to_bytes
from genood.context.fixed_order import Words, look_up
from genood.context.rows import Rows
from genood.errors import ConfigError
from genood.models.base import DensityModel, check_arrays
from genood.models.compiled import CompiledModel
from genood.recipes import LOW_ORDER, MARKOV_BACKGROUNDS
from genood.sequence import Codes
from genood.threads import num_threads

MAX_ORDER = 12
"""Its table is of 89 MB; each order more has four times as much."""
_LOW_ORDER = 2
"""Order of the background of that name, as that of the context model."""


@dataclass(frozen=True, kw_only=True)
class MarkovConfig:
    """Shape of the table.

    Attributes
    ----------
    order
        Bases of context.
    """

    order: int = 11

    def __post_init__(self) -> None:
        if not isinstance(self.order, int) or not 0 <= self.order <= MAX_ORDER:
            raise ConfigError(f"order must be an integer from 0 to {MAX_ORDER}, not {self.order!r}")


class MarkovModel(CompiledModel):
    """Markov chain whose probabilities are smoothed towards those of the orders below.

    With c_k(h, b) bases b after the last k bases h of a context, and n_k(h) of any base,

        p_k(b | h) = (c_k(h, b) + a · p_(k−1)(b | h without its first base)) / (n_k(h) + a),

    and p_(−1) = 1/4. A base with fewer known bases before it than the order is given the probability of
    as many as there are. Nothing is trained by gradients, and it runs on CPUs.

    Parameters
    ----------
    config
        Shape of the model.
    table
        uint8, shape (`start_of(order + 1)`,), as of `genood.context.dense`: the bytes of order 0, then of
        order 1, and so on; of an order, by context, the base that is furthest back first, then by base.
        The four of a context are brought to a sum of 1 as they are used.

    Notes
    -----
    Source: the smoothing is that of MacKay and Bauman Peto 1995, "A hierarchical Dirichlet language
    model". A chain of fixed order is what Ren et al. 2019 have, in appendix, as the model that an LSTM
    improves on.
    """

    kind: ClassVar[str] = "markov"
    backgrounds: ClassVar[tuple[str, ...]] = MARKOV_BACKGROUNDS

    def __init__(self, config: MarkovConfig, table: Bytes) -> None:
        self._config = config
        self._table = table
        self._joined: tuple[MarkovModel, Words] | None = None
        self._joining = Lock()

    @classmethod
    def from_counts(cls, counts: Counts, *, prior_count: float) -> Self:
        """A model of the (order + 1)-mers of a reference.

        Parameters
        ----------
        counts
            float32, shape (4^(order + 1),).
        prior_count
            a, the weight of the order below, in bases; above 0.
        """
        order = (len(counts).bit_length() - 1) // 2 - 1
        tables = interpolate(lower_orders(counts, order), prior_count)
        return cls(MarkovConfig(order=order), np.concatenate([to_bytes(table).ravel() for table in tables]))

    def log_probs(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """See `DensityModel.log_probs`."""
        rows = Rows.of_shape(codes.shape, each_base=True)
        look_up(codes, lengths, self._words, self._config.order, [rows], num_threads())
        return rows.log_p

    def log_probs_with_background(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `DensityModel.log_probs_with_background`; counts cannot be taken back from files."""
        if without_files is not None or leading is not None:
            raise NotImplementedError("a Markov chain does not know which counts are a file's, or a class's")
        said = self._said(codes, lengths, background, each_base=True)
        if said is None:
            return super().log_probs_with_background(codes, lengths, background)
        return said[0].log_p, said[1].log_p

    def log_likelihoods(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """See `DensityModel.log_likelihoods`."""
        said = None if leading is not None else self._said(codes, lengths, background, each_base=False)
        if said is None:
            return super().log_likelihoods(codes, lengths, background, leading)
        return said[0].sums, said[1].sums

    def _said(
        self, codes: Codes, lengths: npt.NDArray[np.int64], background: str | DensityModel, *, each_base: bool
    ) -> tuple[Rows, Rows] | None:
        """What it says, and what a background does; None of one that has tables of another kind, or none."""
        order, words = self._config.order, self._words
        said, of_background = (Rows.of_shape(codes.shape, each_base=each_base) for _ in range(2))
        if background == LOW_ORDER:
            look_up(codes, lengths, words, order, [said], num_threads())
            look_up(codes, lengths, words, min(_LOW_ORDER, order), [of_background], num_threads())
        elif isinstance(background, MarkovModel) and background._config == self._config:
            look_up(codes, lengths, self._words_with(background), order, [said, of_background], num_threads())
        else:
            return None
        return said, of_background

    @property
    def _words(self) -> Words:
        """The bytes of a context as one."""
        return self._table.view(np.uint32)

    def _words_with(self, background: MarkovModel) -> Words:
        """Those of both by context: they come from memory together."""
        with self._joining:
            if self._joined is None or self._joined[0] is not background:
                self._joined = background, np.stack([self._words, background._words], axis=1).ravel()
            return self._joined[1]

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return asdict(self._config)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """See `Model.weights`; they share the model's memory, or its file."""
        return {"table": self._table}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Model.from_config`; without a reference, every base has probability 1/4."""
        checked = _config_of(config)
        return cls(checked, np.zeros(start_of(checked.order + 1), dtype=np.uint8))

    @classmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Model.from_weights`; the model shares the memory, or the file, of the weights."""
        checked = _config_of(config)
        shapes = {"table": (start_of(checked.order + 1),)}
        check_arrays(weights, {"table": np.uint8}, shapes, "a Markov chain")
        return cls(checked, weights["table"])


def _config_of(config: Mapping[str, Any]) -> MarkovConfig:
    try:
        return MarkovConfig(**config)
    except TypeError as error:
        raise ConfigError(f"configuration of the Markov chain: {error}") from error
