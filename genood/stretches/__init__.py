"""Long sequences: the pieces that they are scored in, scores of stretches, and which of those are foreign."""
