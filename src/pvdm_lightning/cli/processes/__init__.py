"""Several processes of one command, and the signals that end them."""
