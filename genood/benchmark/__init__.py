"""Every method on the same reads: trained, tuned on validation reads, evaluated once on test reads.

A benchmark is made of *cells*. A training cell is one model, kept as a bundle; a scoring cell is what the
detectors say of a split's reads by the models of some training cells. Each lies in a directory of its own
under a hash of all that decides its content, so that what has been computed is found again, whichever
methods and seeds are asked for.
"""
