"""The options of every command, written once: Python keywords, command line, help and config.yaml."""
