"""What `genood.models.context` is made of: genes, dense tables, the index of contexts, experts, mixing."""
