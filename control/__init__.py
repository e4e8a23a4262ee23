"""ksmbd-control and its sisters: what an administrator types."""
