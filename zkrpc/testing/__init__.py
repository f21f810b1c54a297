"""Tools for testing services built on zkrpc: pytest fixtures with a real ZooKeeper, and faults on demand."""
