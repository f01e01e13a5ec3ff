"""Training configurations: the paper's, and others derived from it."""
