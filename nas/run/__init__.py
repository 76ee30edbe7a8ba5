"""A run: its folder, the objects that its settings name, and its steps."""
