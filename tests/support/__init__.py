"""What tests of several packages share: services, scripted peers, processes, transcripts, and waiting with a bound."""
