"""One video, as a file or a folder of frames: finding, probing, indexing and decoding it."""
