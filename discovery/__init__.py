"""ksmbd-discovery: lets Explorer, Finder and Linux desktops find the server.

A process of its own: it answers strangers on the network, and knows neither accounts nor files.
"""
