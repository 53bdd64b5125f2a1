"""What the command line and Python call, one module a command. The only room that may import all others."""
