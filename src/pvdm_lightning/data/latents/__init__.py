"""The latent cache: files, data set and what is to be encoded."""
