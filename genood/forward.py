"""One forward pass of all that a bundle holds, over a batch of reads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from genood.detectors.base import ScoreBatch, no_values
from genood.detectors.classes import most_likely
from genood.ensemble import AnyBundle, EnsembleBundle, best_member, combined
from genood.sequence import Codes


def forward(
    bundle: AnyBundle,
    codes: Codes,
    lengths: npt.NDArray[np.int64],
    without_files: npt.NDArray[np.int64] | None = None,
    needs: Collection[str] = (),
    names: bool = False,
    each_base: bool = True,
) -> ScoreBatch:
    """One forward pass of all that a bundle holds.

    Parameters
    ----------
    bundle
        The models.
    codes, lengths, without_files
        See `Bundle.log_probs`; of an ensemble, members that cannot leave a file out have not seen the reads.
    needs
        What detectors need, of `NEEDS`. Gradients, which take much longer than all else, are there only
        if they are named; the rest always is, as far as the bundle gives it.
    names
        Whether to tell the class that explains each read best, of a bundle that `names_classes`.
    each_base
        Whether to give log-probabilities of single bases, where density models can do without.
    """
    if isinstance(bundle, EnsembleBundle):
        within = names and bundle.by != "class"
        passed = []
        for member in bundle.members:
            left_out = without_files if member.leaves_files_out else None
            passed.append(forward(member, codes, lengths, left_out, names=within and member.names_classes))
        batch = combined(passed)
        return replace(batch, leading=best_member(batch)) if names and not within else batch
    gradients = classified = leading = sums = None
    log_p = background_log_p = no_values(codes.shape)
    if bundle.foreground is None:
        classified = bundle.classify(codes, lengths)
        leading = most_likely(classified) if names else None
    else:
        if "gradients" in needs:
            gradients = bundle.foreground.layer_gradients(codes, lengths)
        leading = np.zeros(len(codes), dtype=np.int64) if names else None
        if each_base or without_files is not None:
            log_p, background_log_p = bundle.log_probs(codes, lengths, without_files, leading)
        else:
            sums = bundle.log_likelihoods(codes, lengths, leading)
    if "background" not in bundle.gives:
        background_log_p = no_values(codes.shape)
        sums = None if sums is None else (sums[0], np.full(len(codes), np.nan))
    return ScoreBatch(
        codes=codes,
        lengths=lengths,
        log_p=log_p,
        background_log_p=background_log_p,
        log_likelihoods=sums,
        classified=classified,
        gradients=gradients,
        leading=leading,
    )
