"""The checks that the security document names."""
