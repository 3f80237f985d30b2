"""Files and directories of which nothing half-written bears a final name; weights and Parquet in them."""

from __future__ import annotations

from genood.files.atomic import (
    STANDARD,
    STDOUT_NAME,
    appear_together,
    atomic_path,
    check_distinct,
    check_outside,
    check_writable,
    is_standard_output,
    is_temporary,
    open_descriptor,
    remove_leftovers,
    sha256_ahead,
    sha256_of,
    temporary_beside,
    write_json,
    write_text,
    writing_to,
)

__all__ = [
    "STANDARD",
    "STDOUT_NAME",
    "appear_together",
    "atomic_path",
    "check_distinct",
    "check_outside",
    "check_writable",
    "is_standard_output",
    "is_temporary",
    "open_descriptor",
    "remove_leftovers",
    "sha256_ahead",
    "sha256_of",
    "temporary_beside",
    "write_json",
    "write_text",
    "writing_to",
]
