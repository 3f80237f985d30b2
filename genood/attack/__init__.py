"""The OOD attack on reads: change a few bases until a detector takes an OOD read for in-distribution."""
