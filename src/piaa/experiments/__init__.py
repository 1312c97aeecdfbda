"""The paper's experiments: declared in `specs`, run on stored embeddings, kept as rows, rendered beside the paper.

Comes in: the names of tables and figures, and of data sets. Goes out: rows of numbers on disk, and reports of them.
The command line must never be imported here.
"""
