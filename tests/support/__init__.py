"""What tests of several packages share: services, scripted peers, processes, and waiting with a bound."""
