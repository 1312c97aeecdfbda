"""The paper's experiments: declared in `specs`, run on stored embeddings, kept as rows, rendered beside the paper."""
