"""Tables as text: many cells at a time."""

from genood.text.rows import Column, RowText

__all__ = ["Column", "RowText"]
