"""Backups: sealed base backups and WAL, restored to a chosen second, and drills that prove it."""
