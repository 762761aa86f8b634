"""`python -m onnxgrid`: the command line, for where the console script is not on the path."""

from onnxgrid.cli.main import main

if __name__ == "__main__":
    main()
