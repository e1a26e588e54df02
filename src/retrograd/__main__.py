"""`python -m retrograd`: the same door as the `retrograd` command."""

from retrograd.cli.door import run

if __name__ == "__main__":
    run()
