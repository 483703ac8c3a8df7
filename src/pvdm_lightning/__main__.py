"""The command `pvdm`, also as `python -m pvdm_lightning`."""

from pvdm_lightning.cpu.memory import use_large_pages
from pvdm_lightning.cpu.threads import wait_briefly


def main() -> None:
    """Settings that come before PyTorch, then the command."""
    use_large_pages()
    wait_briefly()
    from pvdm_lightning import cli

    cli.main()


if __name__ == "__main__":
    main()
