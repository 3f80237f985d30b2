"""The dataset directory: encoded reads by split, with labels and provenance.

====================  ====================================================================
``dataset.json``      format version, read length, classes, split sizes, sources, seed, and the
                      sha256 of the other files
``<split>.npy``       codes of the reads, uint8, shape (N, L), memory-mapped when read
``<split>.tsv.gz``    a row a read, in the same order: class, accession, start (the lowest position of the
                      accession that it covers, from 0; -1 if unknown), strand (+, -, or empty if
                      unknown), gc (share of G and C among its known bases; empty if it has none)
====================  ====================================================================

Splits without a read have no files. No class is on both sides, in-distribution and OOD.
"""

from genood.dataset.layout import DATASET_FILE, SPLITS, STRANDS, Origins, check_codes, side_of
from genood.dataset.reading import Dataset, Split, is_codes_file, is_dataset, open_codes
from genood.dataset.writing import DatasetWriter, create_dataset

__all__ = [
    "DATASET_FILE",
    "SPLITS",
    "STRANDS",
    "Dataset",
    "DatasetWriter",
    "Origins",
    "Split",
    "check_codes",
    "create_dataset",
    "is_codes_file",
    "is_dataset",
    "open_codes",
    "side_of",
]
