"""Pages of studies: their way in, how they are read, and how they go out."""
