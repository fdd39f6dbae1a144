"""The express lane: small pictures that are plainly asked for are answered without ASGI.

Most requests of a busy classifier are alike: `POST /predict` with one small PNG for a model in memory. A task, a dozen
layers of middleware and an HTTP state machine cost more than the picture's whole way through decoder and network. So
the connection looks at what comes first. What is, to the last byte, an ordinary request of that kind is answered here;
everything else, and all that is wrong in any way, takes the long way, which says what is wrong. Either way the same
functions decode, admit, queue, render, count and log.
"""
