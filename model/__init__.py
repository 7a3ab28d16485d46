"""The language of the house: shapes, addresses, events, and how events become a resource. Pure."""
