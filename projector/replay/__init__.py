"""Read models from the log alone: as they were at a position, and beside the live ones."""
