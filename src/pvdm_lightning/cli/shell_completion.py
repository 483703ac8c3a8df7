"""The completion script of a shell: commands, options, configurations and classes.

Static words, so that completing needs no second of imports. The script of a general tool, which lists the options of
every class that an option may name, has a hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pvdm_lightning.cli.commands import COMMANDS
from pvdm_lightning.cli.parser import build_parser, option_strings
from pvdm_lightning.cli.shipped_configs import config_folder
from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, NETWORKS, find_class

_BASH = """\
# pvdm completion --target {shell}
_pvdm() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
  case "$before" in
    pvdm) words="{commands}" ;;
    --config|-c) words="{configs}" ;;
    --model|--model.help) words="{models}" ;;
    --data|--data.help) words="{data}" ;;
    *) case "${{COMP_WORDS[1]}}" in
{options}
    esac ;;
  esac
  # Paths beside words, but not where an option begins.
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ "$word" != -* ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}}
complete -o filenames -F _pvdm pvdm
"""
_ZSH = "#compdef pvdm\nautoload -U +X bashcompinit && bashcompinit\n"


def completion_script(shell: Literal["bash", "zsh"]) -> str:
    """The script; zsh runs that of bash."""
    folder = config_folder()
    options = "\n".join(f'      {name}) words="{" ".join(words)}" ;;' for name, words in sorted(_options().items()))
    script = _BASH.format(
        shell=shell,
        commands=" ".join(sorted([*_options(), "--help", "--version"])),
        configs=" ".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml"))),
        models=" ".join(_names(MODULES)),
        data=" ".join(_names(DATA_MODULES)),
        options=options,
    )
    return script if shell == "bash" else _ZSH + script


def _names(paths: Iterable[str]) -> list[str]:
    return sorted(path.rsplit(".", 1)[-1] for path in paths)


def _options() -> dict[str, list[str]]:
    """Command -> its options, those of the public classes included."""
    found = {name: option_strings(build_parser(name)) for name in COMMANDS}
    nested = [f"--model.{name}" for path in MODULES for name in argument_types(find_class(path))]
    nested += [f"--data.{name}" for path in DATA_MODULES for name in argument_types(find_class(path))]
    networks = {"autoencoder": "VideoAutoencoder", "denoiser": "TriplaneUNet"}
    for option, network in networks.items():
        (path,) = (path for path in NETWORKS if path.endswith(f".{network}"))
        nested += [f"--model.{option}.{name}" for name in argument_types(find_class(path))]
    return {name: sorted({*own, *(nested if COMMANDS[name].has_trainer else ())}) for name, own in found.items()}
