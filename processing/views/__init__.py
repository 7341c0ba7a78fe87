"""Pages that show the work done on studies: the worklist, a run's card, the progress corner."""
