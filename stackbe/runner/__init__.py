"""What stands around Django: the environment file, the embedded PostgreSQL, the supervisor and the demo client.

Nothing here imports Django, so that `manage.py` can use it before there is a virtual environment.
"""
