"""The domain language: shapes of resources, kinds, events, and `evolve`. Pure."""
