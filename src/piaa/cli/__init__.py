"""The command line: one small file per command.

Comes in: what a person typed. Goes out: files, lines on the terminal, and an exit code. This is the last room: nothing
else may import it, and nothing is computed in it.
"""
