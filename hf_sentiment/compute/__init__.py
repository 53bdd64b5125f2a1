"""The machine: processor, memory, threads, batches, random state."""
