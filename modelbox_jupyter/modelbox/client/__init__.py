"""What a program uses to reach a store: connection, transports, journal and sender."""
