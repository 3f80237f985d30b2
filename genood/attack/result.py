"""The result of an attack as a table, as JSON types, and as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from genood.attack.curves import CurvePoint, MatchPoint
from genood.attack.reads import AttackRead
from genood.attack.search import Edit, Trajectory
from genood.sequence import BASES

COLUMNS = (
    "epsilon",
    "bundle",
    "kind",
    "attacked",
    "detector",
    "auroc",
    "auprc",
    "fpr80",
    "mean_score",
    "mape",
    "distance",
    "success",
    "edits",
    "edits_needed",
)
"""Of the table; those from `mape` on are about the attacked bundle, the same in all rows of an epsilon."""


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """What was attacked, how, and what came of it.

    Attributes
    ----------
    about
        JSON types: tool, bundles, inputs, configuration.
    labels, kinds
        What the bundles are called, and the kinds of their models.
    objective
        What was matched, for people, as "the likelihood".
    reads, targets
        The reads that were attacked, and of each the name of its target.
    trajectories
        What was done to each read.
    curve, matches
        By epsilon.
    """

    about: dict[str, Any]
    labels: Sequence[str]
    kinds: Sequence[str]
    objective: str
    reads: Sequence[AttackRead]
    targets: Sequence[str]
    trajectories: Sequence[Trajectory]
    curve: Sequence[CurvePoint]
    matches: Sequence[MatchPoint]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON types; positions are counted from 1."""
        return {
            **self.about,
            "matches": [asdict(point) for point in self.matches],
            "curve": [
                {
                    "epsilon": point.epsilon,
                    "bundle": self.labels[point.bundle],
                    "attacked": point.bundle == 0,
                    "detector": point.detector,
                    **point.separation._asdict(),
                    "mean_score": point.mean_score,
                }
                for point in self.curve
            ],
            "reads": [
                {
                    "name": read.name,
                    "target": target,
                    "length": len(read.codes),
                    "edits": edits_text(read.letters, trajectory.edits),
                    "distances": trajectory.distances,
                }
                for read, target, trajectory in zip(self.reads, self.targets, self.trajectories, strict=True)
            ],
        }

    def table(self) -> str:
        """A table of text, one row for each epsilon, bundle and detector."""
        matches = {point.epsilon: point for point in self.matches}
        rows = ["\t".join(COLUMNS)]
        for point in self.curve:
            match = matches[point.epsilon]
            row: dict[str, Any] = {
                **asdict(match),
                **point.separation._asdict(),
                "epsilon": point.epsilon,
                "bundle": self.labels[point.bundle],
                "kind": self.kinds[point.bundle],
                "attacked": "yes" if point.bundle == 0 else "no",
                "detector": point.detector,
                "mean_score": point.mean_score,
            }
            rows.append("\t".join(_cell(row[name]) for name in COLUMNS))
        return "\n".join(rows) + "\n"

    def markdown(self) -> str:
        """Two tables for people: AUROC by detector and epsilon, and how near the attack came."""
        epsilons = [point.epsilon for point in self.matches]
        aurocs = {(p.bundle, p.detector, p.epsilon): p.separation.auroc for p in self.curve}
        tested = dict.fromkeys((point.bundle, point.detector) for point in self.curve)
        lines = [
            f"{len(self.reads)} OOD reads were changed to have {self.objective} that in-distribution reads "
            f"have in {self.labels[0]}.",
            "",
            "AUROC of in-distribution against attacked reads, by the largest share of bases changed:",
            "",
            _row("bundle", "detector", *(f"{epsilon:g}" for epsilon in epsilons)),
            _row(*["---"] * (2 + len(epsilons))),
        ]
        for bundle, detector in tested:
            values = (f"{aurocs[bundle, detector, epsilon]:.3f}" for epsilon in epsilons)
            label = self.labels[bundle]
            lines.append(_row(f"**{label}**, attacked" if bundle == 0 else label, detector, *values))
        lines += ["", _row("of the attacked bundle", *(f"{epsilon:g}" for epsilon in epsilons))]
        lines.append(_row(*["---"] * (1 + len(epsilons))))
        lines += [
            _row("match error (MAPE), mean", *(_percent(point.mape) for point in self.matches)),
            _row("match error (MAPE), median", *(_percent(point.median_mape) for point in self.matches)),
            _row("distance / spread of targets, mean", *(f"{point.distance:.3g}" for point in self.matches)),
            _row("reads matched", *(_percent(point.success) for point in self.matches)),
            _row("edits a read, mean", *(f"{point.edits:.1f}" for point in self.matches)),
            _row("edits to a match, median", *(_cell(point.edits_needed) or "-" for point in self.matches)),
        ]
        return "\n".join(lines) + "\n"


def edits_text(letters: str, edits: Sequence[Edit]) -> list[str]:
    """Substitutions as ``17:A>C``, positions from 1 and ascending."""
    return [
        f"{edit.position + 1}:{letters[edit.position].upper()}>{BASES[edit.base]}" for edit in sorted(edits)
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(share: float | None) -> str:
    return "inf" if share is None else f"{100 * share:.3g} %"


def _cell(value: Any) -> str:
    """A value as in score tables: six significant digits, empty for None."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
