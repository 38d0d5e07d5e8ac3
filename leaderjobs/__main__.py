"""`python -m leaderjobs` is `leaderjobs`."""

from leaderjobs.cli import main

if __name__ == "__main__":
    main(prog_name="leaderjobs")
