"""Metrics and what is counted on them."""
