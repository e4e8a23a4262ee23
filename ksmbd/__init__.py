"""ksmbd: an SMB 2.0.2-3.1.1 file server in user space."""

__version__ = "0.1.0"
