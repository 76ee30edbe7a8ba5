"""One run at work: its folder, what its settings name, and what its steps share."""
