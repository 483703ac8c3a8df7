"""Measures of generated videos whose factors are known, and a Frechet distance over features of a video network."""
