"""The command line: one module per noun. The only place that reads the environment and files of settings."""
