"""Rotating keys while everything runs. What is left to do is read from the key ids in the rows, so a run can be killed.

Nothing that a reader needs is taken away: a value names the key that it lies under, a key that was replaced stays
for what still lies under it, and each row is moved in a short transaction of its own batch.
"""
