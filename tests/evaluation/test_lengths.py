from pvdm_lightning.evaluation.lengths import choose_lengths


def test_lengths_of_the_paper():
    lengths = choose_lengths([128, 16], frame_step=8, inception_score=True)
    assert [selection.name for selection in lengths.selections] == ["FVD 16", "FVD 128", "FVD 16 of 128"]
    assert [selection.key for selection in lengths.selections] == ["fvd_16", "fvd_128", "fvd_16_of_128"]
    assert (lengths.inception, lengths.used, lengths.skipped) == (16, [16, 128], [])


def test_lengths_that_networks_cannot_take_are_left_out_by_name():
    lengths = choose_lengths([4, 12], frame_step=8, inception_score=True)
    assert [selection.name for selection in lengths.selections] == ["FVD 12"]
    assert [name for name, _ in lengths.skipped] == ["FVD 4", "IS"]
    assert lengths.inception is None
