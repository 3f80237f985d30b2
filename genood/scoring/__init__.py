"""From read files to tables: all of `genood score`, `split` and `gather` but the command line."""
