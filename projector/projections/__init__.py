"""The projections: each turns events into the rows of one table."""
