"""What is there to deploy zkrpc with."""
