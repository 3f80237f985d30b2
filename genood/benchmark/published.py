"""What the papers print for these methods, each number with its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

REN_2019 = "Ren et al. 2019, Table 1(b)"


ACCURACY = 0.816
"""Of the classifier of Ren et al. 2019 on reads that it has not seen, of the released benchmark."""


class Published(NamedTuple):
    """Numbers as printed; None where we could not check the print.

    They are of the released benchmark: another dataset than most, with 10 in-distribution classes.
    """

    source: str
    auroc: float | None = None
    auprc: float | None = None
    fpr80: float | None = None


PUBLISHED: Mapping[str, Published] = {
    "llr": Published(REN_2019, auroc=0.755, fpr80=0.474),
}
"""By the method's name in `METHODS`."""
