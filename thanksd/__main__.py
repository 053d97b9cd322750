"""python -m thanksd."""

from thanksd.cli import main

main()
