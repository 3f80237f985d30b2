"""Find the reads of a sequencing run that come from outside the reference set."""

__version__ = "0.1.0"
