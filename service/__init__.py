"""The online half of csrve: loads bundles from a store and serves them over HTTP."""
