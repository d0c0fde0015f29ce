"""The staff console: Django admin with roles of our own."""
