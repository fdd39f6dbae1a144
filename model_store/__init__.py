"""What the compressor and the service share: the bundle format, its codes, the graph and the store."""
