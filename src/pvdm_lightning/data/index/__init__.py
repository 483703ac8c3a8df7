"""Which videos a folder holds: finding, probing, indexing and checking them."""
