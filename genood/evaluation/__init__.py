"""Scores of reads whose side is known: how well they separate, and what the figures of the papers show."""
