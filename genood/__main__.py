"""`python -m genood` is the `genood` command."""

from genood.cli import main

main()
