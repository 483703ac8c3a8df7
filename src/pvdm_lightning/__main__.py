"""The command `pvdm`, also as `python -m pvdm_lightning`."""

from pvdm_lightning.stopping import end_at_once_on_signals


def main() -> None:
    """Settings that come before PyTorch, then the command."""
    end_at_once_on_signals()
    from pvdm_lightning.cpu.memory import use_large_pages
    from pvdm_lightning.cpu.threads import wait_briefly

    use_large_pages()
    wait_briefly()
    from pvdm_lightning import cli

    cli.main()


if __name__ == "__main__":
    main()
