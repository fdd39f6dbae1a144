"""The report of compressed networks: one page with everything in it."""
