"""The main job, played against the running servers by a bare client: HTTP and nothing else."""
