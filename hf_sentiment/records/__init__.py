"""What a run leaves on disk, and the only place that reads or writes it."""
