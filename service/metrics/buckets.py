"""Buckets that fit networks which answer in milliseconds; the client library's own begin at 5 ms."""

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
PICTURE_S = (0.0001, 0.00025, 0.0005, *LATENCY_S)
BATCH_SIZE = (1, 2, 4, 8, 16, 32, 64, 128)
