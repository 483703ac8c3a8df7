import math

from benchmarks.recipes import table


def test_a_table_has_mean_and_range_of_the_seeds():
    seeds = [{"empty": [share, 0.0, 1.0], "kinds": [kinds, 0.0, 0.0]} for share, kinds in ((0.1, 1.0), (0.4, math.nan))]
    text = table({"one": [*seeds, {"empty": [0.25, 0, 0], "kinds": [3.0, 0, 0]}]}, ["empty", "kinds", "other"])
    assert text == (
        "| recipe | empty | kinds | other |\n|---|---|---|---|\n"
        "| one | 0.25 (0.10-0.40) | 2.00 (1.00-3.00, 2 of 3 seeds) | - |\n"
    )
    assert table({"one": [{"empty": [0.5, 0, 1]}]}, ["empty"]).endswith("| one | 0.50 |\n")
