"""Foreign search tools behind this project's ask and tell. Imports none of them."""
