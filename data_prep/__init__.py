"""Build datasets of reads for genood: the `genood-prep` command."""
