"""Training step by step: the one loop, what it learns and is fed with, what it keeps, and who watches it."""
