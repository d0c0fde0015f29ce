"""Whole tenants: into a file, onto another instance, and out of this one for good."""
