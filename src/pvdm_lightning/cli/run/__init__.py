"""What `pvdm fit` makes of a run: its name and folder, the checkpoint it goes on from, its loggers, its summary."""
