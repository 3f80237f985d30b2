"""The plan: which genomes of which classes a dataset split by time is made of.

There are three periods: before `train_before`, from then up to and on `test_after`, and later. A class is
first seen when the first of its genomes is released. In-distribution classes are first seen in the first
period and give ``train_in``, ``val_in`` and ``test_in``, one a period; classes first seen in the second
period give ``val_ood`` by their genomes of that period, and those first seen in the third ``test_ood``.

Source: Ren et al. 2019, the genomics benchmark and its Table S3.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from data_prep.catalogue_table import Genome, genome_key, merge_genomes, read_catalogue
from data_prep.class_lists import PAPER, SIDES, ListedClass, read_classes
from data_prep.names import SYNONYMS, Synonyms
from data_prep.plan_table import Plan, PlannedGenome, Remark, write_plan
from genood.dataset import SPLITS, side_of
from genood.errors import ConfigError, InputError
from genood.files import check_distinct

logger = logging.getLogger("genood.prep.plan")

_OWN_SPLIT = {"in": "train_in", "val_ood": "val_ood", "test_ood": "test_ood"}
"""The split without which a class of a side is of no use: what makes it one of that side."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """How genomes are divided.

    Attributes
    ----------
    train_before
        The first period ends before this day.
    test_after
        The third period starts after this day.
    as_of
        Genomes released later are ignored; None ignores none.
    num_in, num_ood
        How many classes are in distribution, and how many OOD in each of validation and test. Taken are
        first those that lack none of ``train_in``, ``val_in`` and ``test_in``, of these those
        with most genomes in ``train_in`` (or ``val_ood``, ``test_ood``), then those with most genomes, then
        by name.
    max_genomes
        At most so many genomes of a class in a split, the first released; None for all.
    classes
        The classes in place of so many.
    """

    train_before: date = date(2011, 1, 1)
    test_after: date = date(2016, 1, 1)
    as_of: date | None = None
    num_in: int = 10
    num_ood: int = 60
    max_genomes: int | None = None
    classes: tuple[ListedClass, ...] | None = None

    def __post_init__(self) -> None:
        if self.train_before > self.test_after:
            raise ConfigError(
                f"train_before, {self.train_before}, must not be later than test_after, {self.test_after}"
            )
        if self.num_in < 1 or self.num_ood < 0 or (self.max_genomes is not None and self.max_genomes < 1):
            raise ConfigError("num_in and max_genomes must be at least 1, num_ood at least 0")
        _check_classes(self.classes or ())

    def numbers(self) -> dict[str, int]:
        """How many classes to take, by side."""
        return dict(zip(SIDES, (self.num_in, self.num_ood, self.num_ood), strict=True))

    def side(self, first_seen: date) -> str:
        """The side of a class by the day on which it was first seen."""
        if first_seen < self.train_before:
            return "in"
        return "val_ood" if first_seen <= self.test_after else "test_ood"

    def split(self, side: str, released: date) -> str | None:
        """The split of a genome of a class of a side, or None if the side has none for its period."""
        own = self.side(released)
        if side == "in":
            return {"in": "train_in", "val_ood": "val_in", "test_ood": "test_in"}[own]
        return side if side == own else None

    def period(self, side: str) -> str:
        """In words, when classes of a side are first seen."""
        return {
            "in": f"before {self.train_before}",
            "val_ood": f"from {self.train_before} to {self.test_after}",
            "test_ood": f"after {self.test_after}",
        }[side]


def _check_classes(classes: Iterable[ListedClass]) -> None:
    """Raise ConfigError if a class is on no known side, or on two, by its name or by what it holds."""
    names: set[str] = set()
    holders: dict[str, str] = {}
    for name, side, members in classes:
        if side not in SIDES:
            raise ConfigError(f"class {name!r} is on side {side!r}, not {', '.join(SIDES)}")
        if name in names:
            raise ConfigError(f"class {name!r} is listed twice")
        names.add(name)
        for member in sorted(members):
            if member in holders:
                raise ConfigError(f"classes {holders[member]!r} and {name!r} both hold {member}")
            holders[member] = name


class _Class(NamedTuple):
    name: str
    side: str
    genomes: list[Genome]


_Left = defaultdict[str, Counter[str]]
"""Number of genomes left out, by reason and class."""


def make_plan(genomes: Iterable[Genome], config: PlanConfig | None = None) -> Plan:
    """Choose classes, and divide their genomes; the order of the genomes does not matter.

    Parameters
    ----------
    genomes
        A catalogue. A genome that is there twice counts once, as in `merge_genomes`.
    config
        How.
    """
    config = config or PlanConfig()
    given = list(genomes)
    num_rows = Counter(genome_key(genome.accession) for genome in given)
    left: _Left = defaultdict(Counter)
    known = []
    for genome in merge_genomes(given):
        repeated = num_rows[genome_key(genome.accession)] - 1
        if repeated:
            left["the same genome again"][genome.genus] += repeated
        if config.as_of is not None and genome.release_date > config.as_of:
            left[f"released after {config.as_of}"][genome.genus] += 1
        else:
            known.append(genome)
    remarks: list[Remark] = []
    if config.classes is None:
        classes = _first_classes(known, config, left)
    else:
        classes = _listed_classes(known, config.classes, config, left, remarks)
    planned: list[PlannedGenome] = []
    for chosen in classes:
        splits = _divide(chosen, config, left)
        planned += [PlannedGenome(split, chosen.name, genome) for split in splits for genome in splits[split]]
        lacking = [split for split in SPLITS if side_of(split) == chosen.side and split not in splits]
        if lacking:
            remarks.append(Remark(chosen.name, chosen.side, f"no genome for {' and '.join(lacking)}"))
    planned.sort(
        key=lambda row: (SPLITS.index(row.split), row.class_name, row.genome.release_date, row.genome)
    )
    if planned:  # else there is worse to say
        _warn_of_few(classes, config)
    left_out = {reason: dict(sorted(names.items())) for reason, names in left.items()}
    return Plan(planned, left_out, remarks, {each.name: _first_seen(each.genomes) for each in classes})


def _first_classes(genomes: Iterable[Genome], config: PlanConfig, left: _Left) -> list[_Class]:
    by_genus: defaultdict[str, list[Genome]] = defaultdict(list)
    for genome in genomes:
        by_genus[genome.genus].append(genome)
    by_side: dict[str, list[_Class]] = {side: [] for side in SIDES}
    for genus, members in by_genus.items():
        side = config.side(_first_seen(members))
        by_side[side].append(_Class(genus, side, members))
    chosen: list[_Class] = []
    for side, number in config.numbers().items():
        ranked = sorted(by_side[side], key=lambda class_: _rank(class_, config))
        chosen += ranked[:number]
        for class_ in ranked[number:]:
            reason = f"class first seen {config.period(side)}, not among the {number} taken"
            left[reason][class_.name] += len(class_.genomes)
    return chosen


def _rank(class_: _Class, config: PlanConfig) -> tuple[int, int, int, str]:
    """Sorts the class first that is taken first, see `PlanConfig`."""
    sizes = Counter(config.split(class_.side, genome.release_date) for genome in class_.genomes)
    num_splits = len(sizes.keys() - {None})
    return -num_splits, -sizes[_OWN_SPLIT[class_.side]], -len(class_.genomes), class_.name


def _listed_classes(
    genomes: Iterable[Genome],
    listed: Sequence[ListedClass],
    config: PlanConfig,
    left: _Left,
    remarks: list[Remark],
) -> list[_Class]:
    """The classes of a list that have a genome in the split that makes them one of their side.

    A class that was first seen in another period than its side's stays on its side, with the genomes of that
    side's period, and is remarked upon: no class is moved.
    """
    holders = {member: number for number, class_ in enumerate(listed) for member in class_.members}
    held: list[list[Genome]] = [[] for _ in listed]
    for genome in genomes:
        species = " ".join(genome.organism.split()[:2])
        number = holders.get(species, holders.get(genome.genus))
        if number is None:
            left["class not in the list"][genome.genus] += 1
        else:
            held[number].append(genome)
    chosen = []
    for (name, side, _), members in zip(listed, held, strict=True):
        if not members:
            until = f" up to {config.as_of}" if config.as_of is not None else ""
            remarks.append(Remark(name, side, f"left out: no genome in the catalogue{until}"))
            continue
        first = _first_seen(members)
        has_own = any(config.split(side, genome.release_date) == _OWN_SPLIT[side] for genome in members)
        if not has_own:
            remark = f"left out: no genome released {config.period(side)}; first seen {first}"
            left[f"class of {side} without a genome released {config.period(side)}"][name] += len(members)
        elif config.side(first) != side:
            remark = f"first seen {first}, not {config.period(side)}; genomes of other years are left out"
        else:
            remark = ""
        if remark:
            remarks.append(Remark(name, side, remark))
        if has_own:
            chosen.append(_Class(name, side, members))
    return chosen


def _warn_of_few(classes: Sequence[_Class], config: PlanConfig) -> None:
    if config.classes is not None:
        num_listed = len(config.classes)
        if num_left := num_listed - len(classes):
            logger.warning("%d of the %d classes of the list are left out", num_left, num_listed)
        return
    found = Counter(each.side for each in classes)
    for side, number in config.numbers().items():
        if found[side] < number:
            logger.warning(
                "only %d of %d classes were first seen %s", found[side], number, config.period(side)
            )


def _first_seen(genomes: Iterable[Genome]) -> date:
    return min(genome.release_date for genome in genomes)


def _divide(class_: _Class, config: PlanConfig, left: _Left) -> dict[str, list[Genome]]:
    """The genomes of a class by split, first released first."""
    splits: defaultdict[str, list[Genome]] = defaultdict(list)
    for genome in sorted(class_.genomes, key=lambda genome: (genome.release_date, genome.accession)):
        split = config.split(class_.side, genome.release_date)
        if split is None:
            left[f"of a class of {class_.side}, not released {config.period(class_.side)}"][class_.name] += 1
        elif config.max_genomes is not None and len(splits[split]) == config.max_genomes:
            left[f"beyond the first {config.max_genomes} of its class and split"][class_.name] += 1
        else:
            splits[split].append(genome)
    return dict(splits)


def plan_dataset(
    catalogue: str,
    output: str,
    config: PlanConfig | None = None,
    *,
    classes: str | None = None,
    synonyms: Sequence[str] = (),
) -> Plan:
    """Plan a dataset from a catalogue, and write the plan.

    Parameters
    ----------
    catalogue
        A table that `read_catalogue` reads.
    output
        Where to write the plan.
    config
        How to choose and divide.
    classes
        ``paper`` or a table, see `read_classes`; in place of the classes of `config`.
    synonyms
        Tables beside the one that ships, see `Synonyms.load`.

    Raises
    ------
    InputError
        An input cannot be read, or the plan would be empty.
    ConfigError
        The output is an input.
    """
    tables = [path for path in (classes, *synonyms) if path not in (None, PAPER)]
    check_distinct([catalogue, *tables], [output])
    config = config or PlanConfig()
    names = Synonyms.load((SYNONYMS, *synonyms))
    if classes is not None:
        config = replace(config, classes=read_classes(classes, names))
    genomes = (genome._replace(genus=names.genus(genome.genus)) for genome in read_catalogue(catalogue))
    plan = make_plan(genomes, config)
    if not plan.genomes:
        raise InputError(
            catalogue, f"no genome is left to plan with: {', '.join(plan.left_out) or 'it has none'}"
        )
    num_unknown = sum(row.genome.size is None for row in plan.genomes)
    if num_unknown:
        logger.warning(
            "the catalogue states no size for %d of the genomes; bases are of the rest", num_unknown
        )
    write_plan(plan, output)
    return plan
