"""From NCBI's reports to a dataset of reads, in one directory, each step done once.

A step whose product is there is skipped if the product was made from the same: ``build.json`` says from what.
What was made from something else is made anew, and so is all that follows from it; but a dataset, or a table
that was edited, is replaced only if that is asked for.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from data_prep.build_record import RECORD, BuildRecord, Origin, content_of, content_of_text, differences
from data_prep.catalogue import CatalogueConfig, make_catalogue
from data_prep.class_lists import PAPER
from data_prep.download import DownloadConfig, GenomeDownload, download_genomes
from data_prep.download import Progress as DownloadProgress
from data_prep.draw import DrawConfig
from data_prep.lock import sole_writer
from data_prep.ncbi_reports import read_report
from data_prep.plan import PlanConfig, plan_dataset
from data_prep.plan_table import Plan
from data_prep.reads import ClassSummary, draw_reads
from data_prep.report_files import GENBANK, fetch_files, is_url, path_of
from data_prep.report_files import Progress as FetchProgress
from data_prep.taxonomy import Taxonomy
from genood.dataset import DATASET_FILE, Dataset
from genood.errors import ConfigError, InputError
from genood.files import temporary_beside
from genood.readers import check_readable

logger = logging.getLogger("genood.prep.build")

REPORTS, CATALOGUE, PLAN, GENOMES, DATASET = "reports", "catalogue.tsv", "plan.tsv", "genomes", "dataset"
"""What a build leaves in its directory, beside its record."""
_PRODUCTS = (CATALOGUE, PLAN, DATASET)
"""Of which the record knows from what they were made, in the order in which they are."""


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """What a dataset is built from, and how.

    Attributes
    ----------
    reports
        Paths and URLs of what `make_catalogue` reads.
    taxdump
        Path or URL of what `Taxonomy.load` reads, if there is one.
    synonyms
        Tables of more names of genera.
    classes
        What `read_classes` reads, in place of so many classes.
    catalogue, plan, download, draw
        Of the steps. That of the plan names no classes; that of the download has no influence on the dataset.
    """

    reports: Sequence[str] = GENBANK
    taxdump: str | None = None
    synonyms: Sequence[str] = ()
    classes: str | None = None
    catalogue: CatalogueConfig = field(default_factory=CatalogueConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    download: DownloadConfig = field(default_factory=DownloadConfig)
    draw: DrawConfig = field(default_factory=DrawConfig)

    def __post_init__(self) -> None:
        if not self.reports:
            raise ConfigError("a build needs a report")
        if self.plan.classes is not None:
            raise ConfigError("a build takes its classes from a list, not from the configuration of its plan")


@contextmanager
def open_build(
    directory: str | os.PathLike[str], config: BuildConfig, *, redo: bool = False
) -> Iterator[Build]:
    """A build in a directory that no other build works in until the block ends.

    Parameters
    ----------
    directory
        See `sole_writer`.
    config
        See there.
    redo
        Replace a dataset, or a table that was edited, where it was made from something else.

    Raises
    ------
    InputError
        The directory or its record cannot be used, an input is missing, or another build is running.
    ConfigError
        A URL names no file, or the directory's name is empty or ``-``.
    """
    root = Path(directory)
    _check_inputs(config, root / REPORTS)
    with sole_writer(directory, "build"):
        yield Build(root, config, BuildRecord(root), redo=redo)


class Build:
    """The steps of a build, to be taken in their order; `open_build` gives one.

    Attributes
    ----------
    directory
        Of all that is built.
    plan, dataset
        In it.
    """

    def __init__(self, directory: Path, config: BuildConfig, record: BuildRecord, *, redo: bool) -> None:
        self.directory = directory
        self.plan = directory / PLAN
        self.dataset = directory / DATASET
        self._config = config
        self._record = record
        self._redo = redo
        if os.path.lexists(self.dataset):
            self._remove_replaced(DATASET)

    def make_catalogue(self, *, progress: FetchProgress | None = None) -> None:
        """Fetch those of the reports and the taxdump that are URLs, and make the catalogue.

        What has been fetched stays; a later build in the directory takes it as it is.

        Raises
        ------
        GenoodError
            As `fetch_files` and the function of `data_prep.catalogue`; or what is there must not go.
        """
        config = self._config
        origin = {
            "reports": sorted(map(_content_of_input, config.reports)),
            "taxdump": None if config.taxdump is None else _content_of_input(config.taxdump),
            "synonyms": [content_of(path) for path in config.synonyms],
            "levels": sorted(set(config.catalogue.levels)),
        }
        if self._is_kept(CATALOGUE, origin):
            return
        names = [*config.reports, *([] if config.taxdump is None else [config.taxdump])]
        files = fetch_files(
            names, self.directory / REPORTS, config.download, check=self._check_fetched, progress=progress
        )
        fetched = {name: content_of(file) for name, file in zip(names, files, strict=True) if is_url(name)}
        paths = list(map(str, files))
        taxdump = None if config.taxdump is None else paths.pop()
        with self._making(CATALOGUE, origin, fetched=fetched) as target:
            make_catalogue(paths, str(target), config.catalogue, taxdump=taxdump, synonyms=config.synonyms)

    def _check_fetched(self, name: str, path: Path) -> None:
        """Raise InputError for a report or a taxdump that cannot be read to its end."""
        if name == self._config.taxdump:
            Taxonomy.load(path)
        else:
            deque(read_report(path), maxlen=0)

    def make_plan(self) -> Plan | None:
        """Make the plan; None if that which is there is kept.

        Raises
        ------
        GenoodError
            As `plan_dataset`; or what is there must not go.
        """
        config = self._config
        options = {name: value for name, value in asdict(config.plan).items() if name != "classes"}
        days = {name: str(value) for name, value in options.items() if isinstance(value, date)}
        classes = config.classes
        origin = {
            CATALOGUE: content_of(self.directory / CATALOGUE),
            "classes": classes if classes in (None, PAPER) else content_of(classes),
            "synonyms": [content_of(path) for path in config.synonyms],
            **options,
            **days,
        }
        if self._is_kept(PLAN, origin):
            return None
        with self._making(PLAN, origin) as target:
            return plan_dataset(
                str(self.directory / CATALOGUE),
                str(target),
                config.plan,
                classes=classes,
                synonyms=config.synonyms,
            )

    def download(self, *, progress: DownloadProgress | None = None) -> list[GenomeDownload]:
        """Have the genomes of the plan; what became of each, nothing if the dataset is kept.

        Genomes that an earlier plan named stay.

        Raises
        ------
        GenoodError
            As `download_genomes`; or the dataset that is there must not go.
        """
        if self._is_current(DATASET, self._origin_of_dataset()):
            return []
        return download_genomes(self.plan, self.directory / GENOMES, self._config.download, progress=progress)

    def draw(
        self, *, processes: int = 1, progress: Callable[[str, int, int], None] | None = None
    ) -> list[ClassSummary]:
        """Draw the reads, unless the dataset is kept; what each class gave.

        Parameters
        ----------
        processes, progress
            As `draw_reads` takes them.

        Raises
        ------
        GenoodError
            As `draw_reads`; or the dataset that is there must not go.
        """
        origin = self._origin_of_dataset()
        if not self._is_kept(DATASET, origin):
            with self._making(DATASET, origin) as target:
                draw_reads(
                    self.plan,
                    target,
                    self._config.draw,
                    genomes=self.directory / GENOMES,
                    processes=processes,
                    progress=progress,
                )
        return summaries_of(Dataset.load(self.dataset))

    def _origin_of_dataset(self) -> Origin:
        draw = asdict(self._config.draw)
        return {PLAN: content_of(self.plan), **draw, "split_reads": dict(draw["split_reads"])}

    def _is_kept(self, product: str, origin: Origin) -> bool:
        """As `_is_current`, and says what comes of it."""
        path = self.directory / product
        known = self._record.origin(product)
        if self._is_current(product, origin):
            if self._record.was_edited(product):
                logger.warning("%s was edited after it was made, and is taken as it is", path)
            else:
                logger.info("%s is there, made from the same", path)
            return True
        if known is not None and (changes := differences(known, origin)):
            logger.info("%s was made with %s; it is made anew", path, ", ".join(changes))
        return False

    def _is_current(self, product: str, origin: Origin) -> bool:
        """Whether a product is there and was made from this; InputError if what is there must not go."""
        known = self._record.origin(product)
        changes = [] if known is None else differences(known, origin)
        if known is not None and not changes and (self.directory / product).exists():
            return True
        # What follows from it too, so that a build that is refused has changed nothing yet.
        products = _PRODUCTS[_PRODUCTS.index(product) :]
        for name in products:
            path = self.directory / name
            if os.path.lexists(path) and self._record.origin(name) is None:
                raise InputError(path, f"is there, but {RECORD} does not say from what; move it away")
        lost = [name for name in products if self._record.was_edited(name)]
        if self.dataset.exists():
            lost.append(DATASET)
        if changes and lost and not self._redo:
            raise InputError(
                self.directory,
                f"{product} was made with {', '.join(changes)}; build in another directory, or have "
                f"{' and '.join(lost)} replaced (--redo)",
            )
        return False

    @contextmanager
    def _making(self, product: str, origin: Origin, **more: Any) -> Iterator[Path]:
        """A path for a new product, which takes the place of the old one when the block ends well."""
        new = self.directory / f"{product}.new"
        # Beside it, what a killed process left, which may be as large as a dataset.
        for left in (new, *self.directory.glob(f".{new.name}.*.tmp")):
            _remove(left)
        try:
            yield new
        except BaseException:
            _remove(new)
            raise
        self._replace(product, new)
        self._record.note(product, origin, **more)
        self._remove_replaced(product)

    def _replace(self, product: str, new: Path) -> None:
        """Give a new product its name; nothing is removed, as that may fail."""
        final = self.directory / product
        is_directory = new.is_dir() or final.is_dir()  # unlike files, these are not replaced at once
        old = temporary_beside(final) if is_directory and os.path.lexists(final) else None
        # An end in between leaves a product of which nothing is known, which the next build says.
        known = self._record.forget(product)
        try:
            if old is not None:
                os.replace(final, old)
            os.replace(new, final)
        except BaseException as error:
            if os.path.lexists(new):
                if old is not None and os.path.lexists(old):
                    os.replace(old, final)
                self._record.remember(product, known)
            if not isinstance(error, OSError):
                raise
            problem = f"cannot be replaced ({error.strerror}); the new one is {new}"
            raise InputError(final, problem) from error

    def _remove_replaced(self, product: str) -> None:
        """Remove the directories that new ones took the place of, if that can be done."""
        for old in self.directory.glob(f".{product}.{'[0-9a-f]' * 12}.tmp"):
            if old.is_symlink():
                path = self.directory / product
                logger.warning("%s was a link to %s, which is left as it is", path, os.readlink(old))
            try:
                _remove(old)
            except OSError as error:
                logger.warning(
                    "%s, an old %s, cannot be removed (%s); remove it", old, product, error.strerror
                )


def summaries_of(dataset: Dataset) -> list[ClassSummary]:
    """What each class gave to a dataset that `draw_reads` made, as that returned it.

    Raises
    ------
    InputError
        The dataset does not say so.
    """
    genomes: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    try:
        for source in dataset.sources:
            genomes.setdefault((source["split"], source["class"]), []).append(source)
        return [
            ClassSummary(
                split,
                class_name,
                len(sources),
                *(sum(source[name] for source in sources) for name in ("bases", "windows", "reads")),
            )
            for (split, class_name), sources in genomes.items()
        ]
    except (KeyError, TypeError) as error:
        raise InputError(
            dataset.directory / DATASET_FILE,
            "is damaged: a source lacks its split, its class or a number; remove "
            f"{dataset.directory} to have it drawn again",
        ) from error


def _check_inputs(config: BuildConfig, reports: Path) -> None:
    """Raise GenoodError for an input that is not there, or is read once, or a URL that cannot be one."""
    tables = [] if config.classes in (None, PAPER) else [config.classes]
    taxdump = [] if config.taxdump is None else [config.taxdump]
    for name in (*config.reports, *taxdump, *config.synonyms, *tables):
        if is_url(name):
            path_of(name, reports)
        elif name not in taxdump or not os.path.isdir(name):
            check_readable([name])
            if not os.path.isfile(name):
                raise InputError(
                    name, "is no regular file; a build reads its inputs more than once, so save it as one"
                )


def _content_of_input(name: str) -> str:
    """What stands for an input in an origin: its URL, as what was fetched stays; else its content."""
    if is_url(name):
        return name
    if not os.path.isdir(name):
        check_readable([name])
        return content_of(name)
    files = sorted(Path(name).glob("*.dmp"))
    return content_of_text("".join(f"{file.name} {content_of(file)}\n" for file in files))


def _remove(path: Path) -> None:
    """Remove a file or a directory, if it is there; of a link only that."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
