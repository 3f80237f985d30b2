"""The sketch: a context model's memory, thinned out until it fits into a few megabytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.context import dense
from genood.context.fuse import size_of
from genood.context.pages import in_large_pages
from genood.context.rows import Rows
from genood.context.sketch import COMPOSITION_ORDER, Sketch
from genood.context.windows import ALL
from genood.errors import ConfigError
from genood.models.base import DensityModel, check_arrays
from genood.models.compiled import CompiledModel
from genood.recipes import SKETCH_BACKGROUNDS
from genood.sequence import Codes
from genood.threads import num_threads


@dataclass(frozen=True, kw_only=True)
class SketchConfig:
    """Sizes of what is kept, as `Sketch` has them; training sets them."""

    num_windows: int = 0
    seed: int = 0
    threshold: int = 0
    class_order: int = 0
    num_classes: int = 1

    def __post_init__(self) -> None:
        most = {"num_windows": ALL, "seed": ALL, "threshold": ALL, "class_order": COMPOSITION_ORDER}
        for field in fields(self):
            value, least = getattr(self, field.name), int(field.name == "num_classes")
            if not isinstance(value, int) or not least <= value <= most.get(field.name, ALL):
                raise ConfigError(f"{field.name} of a sketch is out of range: {value!r}")


_DTYPES: Mapping[str, type[np.generic]] = {
    "windows": np.uint8,
    "composition": np.int32,
    "by_class": np.uint8,
}
"""Types of the arrays, by name. That over all classes is read in whole words, and so kept in them."""


class SketchModel(CompiledModel):
    """Knows of a reference a sample of its windows of codons, and its composition.

    A window is nine codons in a row without their third bases, in the direction of a gene. Of the four
    bases that may come, the odds of those that end a window that is kept, on either strand, are e times
    those that the mixture of the classes' dense tables gives, and as much again if on both.

    Its background is that mixture without windows, to the power of 0.85, times the composition of all
    classes together to that of 0.15: what is known of the read from its windows counts in full, that it
    is like one class rather than all of them a little.

    Parameters
    ----------
    config
        Sizes.
    arrays
        By name, in the types that they are saved as.

    Notes
    -----
    Source: the sample by hash is that of FracMinHash (Irber et al. 2022), the windows are spaced seeds
    (Ma, Tromp and Li 2002), the filter that holds them is of Graf and Lemire 2022. It runs on CPUs.
    """

    kind: ClassVar[str] = "sketch"
    backgrounds: ClassVar[tuple[str, ...]] = SKETCH_BACKGROUNDS

    def __init__(self, config: SketchConfig, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._config = config
        self._arrays = dict(arrays)

    @classmethod
    def from_sketch(cls, sketch: Sketch) -> Self:
        """A model that shares the memory of a sketch."""
        config = SketchConfig(**{field.name: getattr(sketch, field.name) for field in fields(SketchConfig)})
        return cls(config, {name: getattr(sketch, name).view(dtype) for name, dtype in _DTYPES.items()})

    @cached_property
    def _sketch(self) -> Sketch:
        """What scores; its tables are copied from the file, as every base reads them."""
        return Sketch(
            windows=in_large_pages(self._arrays["windows"]),
            composition=in_large_pages(self._arrays["composition"]).view(np.uint8),
            by_class=np.array(self._arrays["by_class"]),
            **asdict(self._config),
        )

    def log_probs(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """See `DensityModel.log_probs`."""
        return self._score(codes, lengths)[0].log_p

    def log_probs_with_background(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `DensityModel.log_probs_with_background`; a window's file and class are not known."""
        if background in self.backgrounds and without_files is None and leading is None:
            said, of_background = self._score(codes, lengths)
            return said.log_p, of_background.log_p
        return super().log_probs_with_background(codes, lengths, background, without_files, leading)

    def log_likelihoods(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """See `DensityModel.log_likelihoods`."""
        if background in self.backgrounds and leading is None:
            said, of_background = self._score(codes, lengths, each_base=False)
            return said.sums, of_background.sums
        return super().log_likelihoods(codes, lengths, background, leading)

    def _score(
        self, codes: Codes, lengths: npt.NDArray[np.int64], *, each_base: bool = True
    ) -> tuple[Rows, Rows]:
        codes = np.ascontiguousarray(codes)
        return self._sketch.score(codes, lengths, each_base=each_base, num_threads=num_threads())

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return asdict(self._config)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """See `Model.weights`; they share the model's memory, or its file."""
        return dict(self._arrays)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Model.from_config`; without a reference, every base has probability 1/4."""
        checked = _config_of(config)
        shapes = _shapes_of(checked)
        return cls(checked, {name: np.zeros(shapes[name], dtype) for name, dtype in _DTYPES.items()})

    @classmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Model.from_weights`; the model shares the memory, or the file, of the weights."""
        checked = _config_of(config)
        check_arrays(weights, _DTYPES, _shapes_of(checked), "a sketch")
        return cls(checked, weights)


def _config_of(config: Mapping[str, Any]) -> SketchConfig:
    try:
        return SketchConfig(**config)
    except TypeError as error:
        raise ConfigError(f"configuration of the sketch: {error}") from error


def _shapes_of(config: SketchConfig) -> dict[str, tuple[int, ...]]:
    return {
        "windows": (size_of(config.num_windows),),
        "composition": (dense.start_of(COMPOSITION_ORDER + 1) // 4,),
        "by_class": (config.num_classes * dense.start_of(config.class_order + 1),),
    }
