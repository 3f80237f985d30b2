"""The reference: its genomes and their classes, in memory and on disk, and the reads drawn from them."""
