"""The vocabulary that client and server share on the wire: routes, messages and codecs."""
