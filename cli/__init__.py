"""The `secaplane` command: processes, the development supervisor, commands for operators. No other
layer imports it."""
