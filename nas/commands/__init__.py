"""What each command does, callable from Python; mirrors `nas/cli`."""
