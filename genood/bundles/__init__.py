"""Directories of bundles: the files that any of them has, and the one that comes with genood."""
