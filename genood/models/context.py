"""The memory-based density model: remembers its reference, and mixes what the memories say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.context import dense
from genood.context.chain import read_chain
from genood.context.hashing import BUCKET_BYTES, BUCKET_WORDS
from genood.context.mixer import SHAPES
from genood.context.pages import in_large_pages
from genood.context.plan import CLASS_ORDERS, MAX_SAMPLING
from genood.context.rows import Rows
from genood.context.tables import Tables
from genood.errors import ConfigError
from genood.models.base import DensityModel, check_arrays
from genood.models.compiled import CompiledModel
from genood.recipes import CONTEXT_BACKGROUNDS, NO_BACKGROUND, READ_CHAIN
from genood.threads import num_threads


@dataclass(frozen=True, kw_only=True)
class ContextConfig:
    """Sizes of the tables; training sets them.

    Attributes
    ----------
    num_positions, num_segments, num_classes
        Bytes of the annotated reference, its segments and its classes.
    nuc_buckets, aa_buckets
        Buckets of the hashed tables of nucleotide and of translated contexts.
    nuc_sampling, aa_sampling
        One context in 2 to the power of this is kept.
    class_order
        Bases of context of the tables by class.
    """

    num_positions: int = 0
    num_segments: int = 0
    num_classes: int = 1
    nuc_buckets: int = 1
    aa_buckets: int = 1
    nuc_sampling: int = 2
    aa_sampling: int = 1
    class_order: int = CLASS_ORDERS[-1]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in ("num_classes", "nuc_buckets", "aa_buckets") else 0
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"{field.name} must be an integer of at least {least}, not {value!r}")
        if max(self.nuc_sampling, self.aa_sampling) > MAX_SAMPLING or self.class_order > dense.MAX_ORDER:
            raise ConfigError("the context model's samplings or class order are out of range")


_DTYPES: Mapping[str, type[np.generic]] = {
    "reference": np.uint8,
    "offsets": np.int64,
    "labels": np.int64,
    "files": np.int64,
    "nuc": np.int64,
    "aa": np.int64,
    "low": np.int32,
    "by_class": np.int32,
    "weights": np.float32,
    "gates": np.float32,
    "no_expert_gates": np.float32,
}
"""Types of the arrays, by name."""
_USED_AS = {"nuc": np.uint16, "aa": np.uint16, "low": np.uint8, "by_class": np.uint8}
"""Types that some have in `Tables`; kept as wider ones, which a safetensors file aligns: the loops read
whole words."""

_COPIED = ("low", "by_class")
"""Tables that are read for every base: from large pages, and not from the file, it is faster. The others
are larger, and gain a hundredth."""


class ContextModel(CompiledModel):
    """Variable-order contexts of a reference, nucleotide and translated, mixed by learned weights.

    The probability of a base is a softmax over what these say:

    * dense tables of orders 0 to 8 over all classes, and of as many (fewer for many classes) by class,
      mixed over classes by how well each has predicted the read so far;
    * copy experts: places in the reference that share a context of 16 bases, or of 10 amino acids in an
      open reading frame, with the read. A place is followed on, substitutions forgiven, so that its
      context grows without bound; what it has predicted right so far decides how far it is believed.

    Classes weigh equally in the tables. Both strands of the reference are known.

    Notes
    -----
    Source: the mixing of experts with different contexts follows XM (Cao et al. 2007) and PAQ (Mahoney
    2005); the tables by class follow Phymm (Brady and Salzberg 2009). All of it runs on CPUs.
    """

    kind: ClassVar[str] = "context"
    backgrounds: ClassVar[tuple[str, ...]] = CONTEXT_BACKGROUNDS
    names_classes: ClassVar[bool] = True
    leaves_files_out: ClassVar[bool] = True

    def __init__(self, config: ContextConfig, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._config = config
        self._arrays = dict(arrays)

    @classmethod
    def from_tables(cls, tables: Tables) -> Self:
        """A model that shares the memory of tables."""
        config = ContextConfig(
            num_positions=len(tables.reference),
            num_segments=len(tables.offsets),
            num_classes=tables.num_classes,
            nuc_buckets=len(tables.nuc) // BUCKET_WORDS,
            aa_buckets=len(tables.aa) // BUCKET_WORDS,
            nuc_sampling=tables.nuc_sampling,
            aa_sampling=tables.aa_sampling,
            class_order=tables.class_order,
        )
        arrays = {name: getattr(tables, name) for name in _DTYPES}
        for name in _USED_AS:
            arrays[name] = arrays[name].view(_DTYPES[name])
        return cls.from_weights(asdict(config), arrays)

    @classmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Model.from_weights`; the model shares the memory, or the file, of the weights."""
        checked = _config_of(config)
        check_arrays(weights, _DTYPES, _shapes_of(checked), "a context model")
        labels, num_classes = weights["labels"], checked.num_classes
        if len(labels) and not (labels.min() >= 0 and labels.max() + 1 == num_classes):
            raise RuntimeError(f"labels are not of {num_classes} classes")
        return cls(checked, weights)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """See `Model.weights`; they share the model's memory, or its file."""
        return dict(self._arrays)

    def tables(self) -> Tables:
        """The same in the types of `Tables`; they share the memory."""
        return self._tables_of(self._arrays)

    @cached_property
    def _tables(self) -> Tables:
        """For scoring: the tables that are read for every base are not left in the file."""
        return self._tables_of(self._arrays | {name: in_large_pages(self._arrays[name]) for name in _COPIED})

    def _tables_of(self, arrays: dict[str, npt.NDArray[Any]]) -> Tables:
        return Tables(
            **{name: array.view(_USED_AS.get(name, array.dtype)) for name, array in arrays.items()},
            nuc_sampling=self._config.nuc_sampling,
            aa_sampling=self._config.aa_sampling,
            class_order=self._config.class_order,
            num_classes=self._config.num_classes,
        )

    def log_probs(
        self, codes: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """See `DensityModel.log_probs`."""
        return self._score(codes, lengths, NO_BACKGROUND)[0].log_p

    def log_probs_with_background(
        self,
        codes: npt.NDArray[np.uint8],
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `DensityModel.log_probs_with_background`; the last two are those of `Tables.score`."""
        if isinstance(background, DensityModel):
            return super().log_probs_with_background(codes, lengths, background, without_files, leading)
        if background == READ_CHAIN:
            said, _ = self._score(codes, lengths, NO_BACKGROUND, without_files, leading)
            return said.log_p, read_chain(codes, lengths)
        said, of_background = self._score(codes, lengths, background, without_files, leading)
        return said.log_p, of_background.log_p

    def log_likelihoods(
        self,
        codes: npt.NDArray[np.uint8],
        lengths: npt.NDArray[np.int64],
        background: str | DensityModel,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """See `DensityModel.log_likelihoods`."""
        if isinstance(background, DensityModel) or background == READ_CHAIN:
            return super().log_likelihoods(codes, lengths, background, leading)
        said, of_background = self._score(codes, lengths, background, leading=leading, each_base=False)
        return said.sums, of_background.sums

    def _score(
        self,
        codes: npt.NDArray[np.uint8],
        lengths: npt.NDArray[np.int64],
        background: str,
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
        *,
        each_base: bool = True,
    ) -> tuple[Rows, Rows]:
        return self._tables.score(
            np.ascontiguousarray(codes),
            lengths,
            background=background,  # type: ignore[arg-type]
            without_files=without_files,
            leading=leading,
            each_base=each_base,
            num_threads=num_threads(),
        )

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return asdict(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Model.from_config`; without a reference, every base has probability 1/4."""
        checked = _config_of(config)
        shapes = _shapes_of(checked)
        return cls(checked, {name: np.zeros(shapes[name], dtype) for name, dtype in _DTYPES.items()})


def _config_of(config: Mapping[str, Any]) -> ContextConfig:
    unknown = set(config) - {field.name for field in fields(ContextConfig)}
    if unknown:
        raise ConfigError(f"the context model has no setting {', '.join(sorted(unknown))}")
    return ContextConfig(**config)


def _shapes_of(config: ContextConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays, in the types that they are kept as."""
    return {
        "reference": (config.num_positions,),
        **dict.fromkeys(("offsets", "labels", "files"), (config.num_segments,)),
        "nuc": (config.nuc_buckets * (BUCKET_BYTES // 8),),
        "aa": (config.aa_buckets * (BUCKET_BYTES // 8),),
        "low": (dense.start_of(dense.MAX_ORDER + 1) // 4,),
        "by_class": (dense.stride_of(config.num_classes) * dense.start_of(config.class_order + 1) // 4,),
        **SHAPES,
    }
