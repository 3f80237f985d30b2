"""A tuning as tables: for people as the paper prints them, and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from genood.metrics import Separation
from genood.tune.grid import AGAINST, Against, Candidate, Cell

TITLES = {"real": "Real OOD reads", "simulated": "Simulated OOD reads"}
_COLUMNS = ("background", "mutation_rate", "l2", "ood", "num_seeds")


def markdown_table(cells: Sequence[Cell], against: Against, best: Cell) -> str:
    """The AUROC of all backgrounds: mutation rates down and L2 coefficients across, where there are any.

    Mean and standard error over the seeds; the best in bold.
    """
    if any(cell.candidate.l2 is None for cell in cells):
        lines = [["background", "AUROC"]]
        lines += [[_named(cell.candidate), _shown(cell, against, best)] for cell in cells]
    else:
        by_place = {(cell.candidate.mutation_rate, cell.candidate.l2): cell for cell in cells}
        rates = sorted({cell.candidate.mutation_rate or 0.0 for cell in cells})
        l2s = sorted({cell.candidate.l2 or 0.0 for cell in cells})
        lines = [["μ \\ λ", *(f"{l2:g}" for l2 in l2s)]]
        lines += [[f"{rate:g}", *(_shown(by_place[rate, l2], against, best) for l2 in l2s)] for rate in rates]
    rule = ["---", *["---:"] * (len(lines[0]) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in [lines[0], rule, *lines[1:]])


def tsv(cells: Sequence[Cell]) -> str:
    """A header line and a row for each background and kind of OOD reads.

    Of each metric the mean over the seeds and its standard error, empty for one seed.
    """
    metrics = Separation._fields
    header = [*_COLUMNS, *(name for metric in metrics for name in (metric, f"{metric}_standard_error"))]
    lines = [header]
    for against in AGAINST:
        for cell in cells:
            if against in cell.separations:
                candidate = cell.candidate
                line = [
                    candidate.background,
                    _number(candidate.mutation_rate),
                    _number(candidate.l2),
                    against,
                ]
                line.append(str(len(cell.separations[against])))
                for metric in metrics:
                    line.append(_number(cell.mean(against, metric)))
                    line.append(_number(cell.standard_error(against, metric)))
                lines.append(line)
    return "".join("\t".join(line) + "\n" for line in lines)


def _named(candidate: Candidate) -> str:
    return str(candidate) if candidate.mutation_rate is None else f"{candidate.background}, {candidate}"


def _shown(cell: Cell, against: Against, best: Cell) -> str:
    error = cell.standard_error(against)
    text = f"{cell.mean(against):.4f}" + ("" if error is None else f" ± {error:.4f}")
    return f"**{text}**" if cell is best else text


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
