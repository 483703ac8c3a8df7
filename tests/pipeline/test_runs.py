"""Which checkpoint is meant and which is the newest: by what they hold, whatever copies, moves and clocks do."""

import os
import pickle
import shutil
import time
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline import runs

STAGES = ("AutoencoderModule", "LatentDiffusionModule")


def write(path, started=None, step=0, stage=STAGES[0], **more):
    content = {
        "state_dict": {"weight": torch.zeros(2)},
        "hyper_parameters": {"_class_path": f"pvdm_lightning.{stage}"},
        "global_step": step,
        **({} if started is None else {"run": {"started": started}}),
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def link_latest(run):
    link = run.parent / "latest"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(run.name, "checkpoints"))


NAMES = ("one", "two", "two/nested", "deep/er/name")
RUN = st.tuples(st.sampled_from(NAMES), st.lists(st.integers(0, 50), max_size=3, unique=True), st.booleans())


@settings(max_examples=40, deadline=None)
@given(
    made=st.lists(RUN, max_size=4),
    changed=st.sampled_from(["nothing", "copied", "moved", "links lost"]),
    data=st.data(),
)
def test_the_newest_is_that_of_the_latest_start_and_furthest_step(tmp_path_factory, made, changed, data):
    root = tmp_path_factory.mktemp("root") / "runs"
    root.mkdir()
    order = data.draw(st.permutations(range(len(made))))  # folders need not be named in the order of their starts
    expected = {name: [] for name in (*NAMES, "")}
    for number, (name, steps, stops) in enumerate(made):
        run = root / name / f"2026-01-0{order[number] + 1}_00-00-00"
        (run / "checkpoints").mkdir(parents=True)
        for step in steps:
            write(run / f"checkpoints/step-{step}.ckpt", number + 1, step)
            expected[name].append((number + 1, step))
        if steps and stops:
            write(run / "checkpoints/last.ckpt", number + 1, max(steps))
        if data.draw(st.booleans()):
            link_latest(run)
    for path in root.rglob("*.ckpt"):
        os.utime(path, (data.draw(st.integers(1, 2**31)),) * 2)
    if changed == "copied":  # as cp -rL does: a folder is in the place of each link
        shutil.copytree(root, root.with_name("copy"))
        root = root.with_name("copy")
    elif changed == "moved":
        root = root.rename(root.with_name("elsewhere"))
    elif changed == "links lost":
        for link in [path for path in root.rglob("latest") if path.is_symlink()]:
            link.unlink()
    expected[""] = [age for name in NAMES for age in expected[name]]
    for name, ages in expected.items():
        if not ages:
            continue
        given_paths = [root / name / "latest", root / name] if name else [root]
        for path in given_paths:
            found = runs.checkpoint_in(path, "--ckpt_path")
            content = torch.load(found, weights_only=True)
            assert (content["run"]["started"], content["global_step"]) == max(ages), path
            assert "latest" not in found.relative_to(root).parts
        if name == "":
            assert torch.load(runs.checkpoint_in("latest", "--ckpt_path", root=root))["global_step"] == max(ages)[1]


def test_last_is_preferred_to_another_checkpoint_of_its_step(tmp_path):
    for name in ("step-4", "last", "zzz"):
        write(tmp_path / f"r/checkpoints/{name}.ckpt", 1, 4)
    assert runs.checkpoint_in(tmp_path / "r", "--").name == "last.ckpt"


def test_a_stage_is_looked_for(tmp_path):
    first = write(tmp_path / "n/a/checkpoints/last.ckpt", 1, 9, STAGES[0])
    second = write(tmp_path / "n/b/checkpoints/last.ckpt", 2, 3, STAGES[1])
    assert runs.checkpoint_in(tmp_path / "n", "--") == second
    assert runs.checkpoint_in(tmp_path / "n/latest", "--", STAGES[0]) == first
    with pytest.raises(InvalidArgumentError, match=r"holds only a stage-two .* checkpoint, and a stage-one"):
        runs.checkpoint_in(tmp_path / "n/b", "--", STAGES[0])


def test_a_file_of_the_latest_run(tmp_path):
    write(tmp_path / "n/a/checkpoints/step-4.ckpt", 1, 4)
    write(tmp_path / "n/latest/last.ckpt", 1, 4)  # a copy
    newest = write(tmp_path / "n/b/checkpoints/last.ckpt", 2, 3)
    best = write(tmp_path / "n/b/checkpoints/step-2.ckpt", 2, 2)
    for path, found in {"": newest, "last.ckpt": newest, "step-2.ckpt": best}.items():
        assert runs.checkpoint_in(tmp_path / "n/latest" / path, "--") == found


def test_older_checkpoints_hold_no_start_and_their_folder_tells_it(tmp_path):
    write(tmp_path / "n/2026-01-02_00-00-00/checkpoints/last.ckpt", None, 5)
    write(tmp_path / "n/2026-01-03_00-00-00-2/checkpoints/last.ckpt", None, 2)
    assert torch.load(runs.checkpoint_in(tmp_path / "n", "--"))["global_step"] == 2
    started = time.mktime(time.strptime("2026-01-04", "%Y-%m-%d")) * 1e9
    write(tmp_path / "n/renamed/checkpoints/last.ckpt", int(started), 1)
    assert torch.load(runs.checkpoint_in(tmp_path / "n", "--"))["global_step"] == 1


@pytest.mark.parametrize("started", [-1, 2**80, "now", 1.5, None, True, [1]])
def test_a_start_that_is_none_orders_nothing(tmp_path, started):
    write(tmp_path / "n/lies/checkpoints/last.ckpt", started, 1, run={"started": started})
    write(tmp_path / "n/true/checkpoints/last.ckpt", 5, 2)
    assert torch.load(runs.checkpoint_in(tmp_path / "n", "--"))["global_step"] == 2


def test_a_clock_that_goes_back_makes_no_run_older(tmp_path, monkeypatch):
    starts = []
    for now in (100, 5000, 40, 41, 6000, 0):  # nanoseconds
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        starts.append(runs.next_start(tmp_path))
        write(tmp_path / f"name{len(starts) % 2}/{len(starts)}/checkpoints/last.ckpt", starts[-1], len(starts))
    assert starts == sorted(set(starts)) and starts[0] == 100
    assert torch.load(runs.checkpoint_in("latest", "--", root=tmp_path))["global_step"] == len(starts)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def foreign(folder):
    """Files called checkpoints that are none, whatever is wrong with them."""
    whole = write(folder / "whole.ckpt", 9, 9).read_bytes()
    (folder / "whole.ckpt").unlink()
    (folder / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.ckpt").touch()
    (folder / "text.ckpt").write_text("notes")
    (folder / "evil.ckpt").write_bytes(pickle.dumps(Evil()))
    torch.save({"global_step": 9, "state_dict": Evil()}, folder / "evil-too.ckpt")
    torch.save([1, 2], folder / "list.ckpt")
    write(folder / "of-another-project.ckpt", 9, 9, "TheirModule")
    write(folder / "step-is-text.ckpt", 9, "9")
    write(folder / "no-weights.ckpt", 9, 9, state_dict=None)
    (folder / "folder.ckpt").mkdir()
    (folder / "link.ckpt").symlink_to("nowhere")
    (folder / "device.ckpt").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.ckpt")


def test_damaged_and_foreign_files_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n/a/checkpoints").mkdir(parents=True)
    foreign(tmp_path / "n/a/checkpoints")
    with pytest.raises(InvalidArgumentError, match="holds no checkpoint that can be read"):
        runs.checkpoint_in("n", "--")
    whole = write(tmp_path / "n/a/checkpoints/step-1.ckpt", 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert runs.checkpoint_in(tmp_path / "n", "--") == whole
    assert not Path("ran").exists()


def test_files_are_mapped_not_loaded(tmp_path, monkeypatch):
    for number in range(3):
        write(tmp_path / f"n/{number}/checkpoints/last.ckpt", number, number)
    load, seen = torch.load, []
    monkeypatch.setattr(torch, "load", lambda *args, **how: seen.append(how) or load(*args, **how))
    runs.newest_checkpoint(tmp_path)
    assert len(seen) == 3 and all(how["mmap"] and how["weights_only"] for how in seen)


def test_links_in_a_circle_and_linked_runs(tmp_path):
    elsewhere = write(tmp_path / "disk/a/checkpoints/last.ckpt", 3, 7)
    root = tmp_path / "runs"
    write(root / "n/b/checkpoints/last.ckpt", 1, 1)
    (root / "n/back").symlink_to(root)
    (root / "moved").symlink_to(tmp_path / "disk")
    found = runs.checkpoint_in("latest", "--", root=root)
    assert found == root / "moved/a/checkpoints/last.ckpt" and found.samefile(elsewhere)


@pytest.mark.parametrize("path", ["nowhere.ckpt", "folder", "n/latest/x/y.ckpt", "latest/latest"])
def test_what_is_no_run_is_returned_as_it_is(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert runs.checkpoint_in(path, "--") == Path(path)


def test_a_checkpoint_is_called_by_its_run(tmp_path):
    path = write(tmp_path / "ae/2026-01-01_00-00-00/checkpoints/last.ckpt", 1, 1)
    link_latest(path.parents[1])
    assert runs.display_name(path) == "ae/2026-01-01_00-00-00/last.ckpt"
    assert runs.display_name(tmp_path / "ae/latest/last.ckpt") == "ae/2026-01-01_00-00-00/last.ckpt"
    assert runs.display_name("mine.ckpt") == "mine.ckpt"
