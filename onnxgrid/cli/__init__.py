"""The command line: one click file per command, each a thin shell over one function of the public API.

`main.py` holds what all commands share: finding them, turning errors into messages and exit codes, showing warnings.
"""
