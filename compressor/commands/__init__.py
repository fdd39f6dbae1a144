"""The commands of `python -m compressor`: each a module with NAME, SUMMARY, add_arguments and run."""
