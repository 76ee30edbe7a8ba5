"""The commands as Python functions; `nas/cli` reads their options and prints their results."""
