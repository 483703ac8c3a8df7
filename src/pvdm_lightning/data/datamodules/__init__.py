"""Data modules, one file for each data set: the only part of the data package that knows Lightning."""
