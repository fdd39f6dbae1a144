"""The Open Inference Protocol, version 2: what `/v2` understands and says. Parsing and writing only, no I/O.

fields      one JSON value checked: place, rule, value
requests    an inference request out of its JSON and the bytes behind it
datatypes   UINT8, FP32 and BYTES, in JSON and in bytes
inputs      from a request's tensor to the arrays a network reads
outputs     from logits to the tensors a client asked for, classification included
responses   tensors to JSON, or JSON and bytes
compression gzip and deflate, bounded
metadata    what server and models say of themselves
statistics  how often, and how long
backend     the one module that knows the rest of the service
"""
