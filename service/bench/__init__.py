"""`python -m service bench`: our engines beside other people's, on the same graph and the same weights, in one run."""
