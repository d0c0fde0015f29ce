"""What this deployment promises, and proves of itself."""
