"""The gRPC face: the services of 2022 with their names and numbers, over the same use cases as HTTP."""
