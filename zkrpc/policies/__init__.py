"""What to do when a call fails: small composable values that decide, and interceptors that act on the decision.

Nothing here sleeps, reads a clock or throws dice by itself; whoever builds the stack hands those in.
"""
