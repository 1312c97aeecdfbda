"""The experiments, one readable file each."""
