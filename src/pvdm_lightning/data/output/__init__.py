"""Videos and pictures that are written, and what their files say of themselves."""
