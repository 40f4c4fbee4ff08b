"""The commands, by whom they are for. Modules are light to import: libraries wait for their command."""
