"""The commands, one module for each audience. Each imports its heavy libraries only when it runs."""
