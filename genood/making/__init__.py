"""Bundles are made: all of `genood train`, `genood join` and `genood calibrate` but the command line."""
