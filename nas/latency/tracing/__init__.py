"""From any module to the operations it runs, without running any."""
