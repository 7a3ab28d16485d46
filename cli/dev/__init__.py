"""The `secaplane dev` supervisor and its embedded servers."""
