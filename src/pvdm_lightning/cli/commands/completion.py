"""`pvdm completion`: completion of options in a shell, and of configurations in an editor."""

from typing import Literal

from pvdm_lightning.cli.console.completion import completion_script, config_schema
from pvdm_lightning.printing import print_result


def completion(target: Literal["bash", "zsh", "schema"]) -> None:
    """Print the completion script of a shell, or the JSON schema of configurations for an editor.

    Args:
        target: bash, zsh, or schema.
    """
    print_result(config_schema() if target == "schema" else completion_script(target))
