"""The dashboard: pages for developers. They call the services that the API calls, and nothing else."""
