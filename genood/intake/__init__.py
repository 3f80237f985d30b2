"""What of the input is scored: pairs, the selection of reads, and all of it as one stream."""
