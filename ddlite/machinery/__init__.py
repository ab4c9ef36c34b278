"""What everything needs and nobody reads on the first evening: files, checkpoints, processes, Adam."""
