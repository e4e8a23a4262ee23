"""The user-space daemon: accounts, configuration, DCE/RPC."""
