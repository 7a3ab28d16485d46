"""The read model: tables, queries, and how far the rows have got."""
