"""Running networks against a clock: on the processor and on GPUs."""
