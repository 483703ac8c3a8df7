"""Values as a shell would hand them over, in every command and at every depth of a configuration."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonargparse import Namespace

from pvdm_lightning.cli.arguments import (
    FORMER_NAMES,
    expand,
    expand_paths,
    option_values,
    with_present_names,
    with_values,
    with_word_lists,
    without_option,
)
from pvdm_lightning.cli.commands import COMMANDS
from pvdm_lightning.cli.console.parser_errors import OptionError
from pvdm_lightning.cli.parser import build_parser, option_strings, parse
from pvdm_lightning.pretrained import cache_folder

HOME = "/home/somebody"


@pytest.fixture
def home(monkeypatch):
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setenv("PLACE", f"{HOME}/place")


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("~", HOME),
        ("~/x", f"{HOME}/x"),
        ("$HOME/x", f"{HOME}/x"),
        ("${PLACE}/x", f"{HOME}/place/x"),
        ("$PLACE", f"{HOME}/place"),
        ("a~/x", "a~/x"),
        ("x/~", "x/~"),
        ("$UNSET_HERE/x", "$UNSET_HERE/x"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x"),
        ("$5 and more", "$5 and more"),
        ("", ""),
    ],
)
def test_values_that_a_shell_would_expand(home, value, expanded):
    assert expand(value) == expanded


trees = st.recursive(
    st.sampled_from(["~/x", "$HOME/x", "plain", 3, None, True]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=12,
)


def texts(node):
    if isinstance(node, Namespace):
        node = vars(node)
    if isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)
    elif isinstance(node, str | Path):
        yield str(node)


@given(trees)
def test_every_text_of_a_configuration_is_expanded(tree):
    before = list(texts({"tree": tree}))
    config = Namespace(tree=tree)
    expand_paths(config)
    assert list(texts(config)) == [expand(text) for text in before]


# What a command needs to be parsed; ~ stands in every option of text that is added to it.
NEEDED = {
    "fit": ["--model", "LatentDiffusionModule", "--model.denoiser", "TriplaneUNet", "--data", "VideoFolder"],
    "evaluate": ["--real=~/r", "--generated=~/g"],
    "compare": ['--reports=["~/a", "~/b"]'],
    "check-data": ["--data", "VideoFolder"],
    "completion": ["--target", "bash"],
    "import-original": ["--autoencoder=~/a"],
}
NESTED = {"fit": ["--data.root", "--model.autoencoder_checkpoint"], "check-data": ["--data.root"]}
LEAST = {"fit": 6, "validate": 3, "test": 5, "predict": 4, "encode": 4, "evaluate": 4, "check-data": 2}
LEAST |= {"compare": 1, "import-original": 3, "weights": 1, "completion": 0}


def takes_text(action):
    hints = [getattr(action, "_typehint", None), action.type]
    return any(kind in (hint, *get_args(hint)) for hint in hints for kind in (str, Path))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_tilde_after_an_equals_sign_in_every_option_of_every_command(home, command):
    parser = build_parser(command)
    actions = parser._option_string_actions
    options = [name for name in option_strings(parser) if takes_text(actions[name]) and not name.endswith("help")]
    done = 0
    for option in [*options, *NESTED.get(command, [])]:
        needed = list(NEEDED.get(command, []))
        if "--data" in needed and option != "--data.root":
            needed += ["--data.root", "videos"]
        try:
            config = parse(parser, [*needed, f"{option}=~/x"])
        except OptionError:  # an option of a few words, such as --trainer.accelerator
            continue
        found = list(texts(config))
        assert f"{HOME}/x" in found and not any(text.startswith("~") for text in found), option
        done += 1
    assert done >= LEAST[command], options


@pytest.mark.parametrize(("variable", "inside"), [("PVDM_CACHE", ""), ("XDG_CACHE_HOME", "/pvdm_lightning")])
@pytest.mark.parametrize("value", ["~/cache", "$HOME/cache", "${HOME}/cache"])
def test_the_cache_folder_may_be_in_the_home_folder(home, monkeypatch, variable, inside, value):
    monkeypatch.delenv("PVDM_CACHE", raising=False)
    monkeypatch.setenv(variable, value)
    assert str(cache_folder()) == f"{HOME}/cache{inside}"


words = st.lists(st.sampled_from(["--a", "--a=1", "--b", "--b=2", "-c", "3", "--flag"]), max_size=8)


@given(words)
def test_words_are_taken_apart_and_put_together(words):
    assert with_values(words, lambda option, value: value) == words
    assert all(option.startswith("-") for option, _ in option_values(words))
    others, values = without_option(words, "--b=2")
    assert (len(others) + 2 * len(values)) in (len(words), len(words) + 1)  # the last may lack its value


@pytest.mark.parametrize(
    ("command", "words", "found"),
    [
        ("compare", "a b --plot c", ["--plot", "c", "--reports", '["a", "b"]']),
        ("compare", "--plot c --reports a b", ["--plot", "c", "--reports", '["a", "b"]']),
        ("compare", "--reports [a,b] --plot c", ["--reports", "[a,b]", "--plot", "c"]),
        ("compare", "", []),
        ("compare", "--a a b --b c --plot d", ["--plot", "d", "--a", '["a", "b"]', "--b", '["c"]']),
        ("compare", "--b=c --a a", ["--b=c", "--a", '["a"]']),
        ("evaluate", "--features a b --device cpu", ["--device", "cpu", "--features", '["a", "b"]']),
        ("evaluate", "--real a --generated b", ["--real", "a", "--generated", "b"]),
        ("predict", "a b", ["a", "b"]),
    ],
)
def test_lists_word_by_word(command, words, found):
    assert with_word_lists(command, words.split()) == found


@pytest.mark.parametrize(
    "command, former, names", [(command, *item) for command, all_of in FORMER_NAMES.items() for item in all_of.items()]
)
def test_former_names_of_options_are_taken_and_said(command, former, names, caplog):
    options = option_strings(build_parser(command))
    assert former not in options and set(names) <= set(options)
    found = [part for name in names for part in (name, "3")]
    assert with_present_names(command, ["--a", former, "3", "b"]) == ["--a", *found, "b"]
    assert with_present_names(command, [f"{former}=3", f"{former}s=3"]) == [*found, f"{former}s=3"]
    assert f"{former} is now {names[0]}" in caplog.text
    assert with_present_names("fit", [former, "3"]) == [former, "3"]
