"""Outgoing mail and the development inbox."""
