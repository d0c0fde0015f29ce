"""What every app stands on: scope, tenancy, changes, keys, ids, errors. It imports no other app."""
