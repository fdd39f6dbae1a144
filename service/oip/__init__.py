"""The Open Inference Protocol, version 2: what `/v2` understands and says. docs/protocols.md describes it.

Parsing and writing, without I/O:

    fields       one JSON value checked: place, value, rule
    requests     an inference request out of its JSON and the bytes behind it
    datatypes    UINT8, FP32 and BYTES, in JSON and in bytes
    inputs       from a request's tensor to the arrays a network reads
    outputs      from logits to the tensors a client asked for, classification included
    responses    tensors to JSON, or to JSON and bytes
    compression  gzip and deflate, bounded
    metadata     what server and models say of themselves
    repository   the calls that list, load and unload
    statistics   how often, and how long
    limits       all of them
    schemas      the shapes that OpenAPI documents

And what does it: `inference` answers one request; `backend` is the one module that knows the rest of the service.
"""
