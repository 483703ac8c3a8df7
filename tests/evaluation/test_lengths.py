from pvdm_lightning.evaluation.lengths import choose_lengths


def test_lengths_of_the_paper():
    lengths = choose_lengths([128, 16], frame_step=8, inception_score=True)
    assert [selection.frames for selection in lengths.selections] == ["16", "128", "16 of 128"]
    assert [selection.span for selection in lengths.selections] == [16, 128, 121]
    assert (lengths.inception, lengths.used, lengths.skipped) == (16, [16, 128], [])


def test_lengths_that_networks_cannot_take_are_left_out_by_name():
    lengths = choose_lengths([4, 12], frame_step=8, inception_score=True)
    assert [selection.frames for selection in lengths.selections] == ["12"]
    assert [name for name, _ in lengths.skipped] == ["FVD 4", "IS"]
    assert lengths.inception is None
