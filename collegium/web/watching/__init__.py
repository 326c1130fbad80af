"""Monitor the experts and the routers on trial, and raise alarms for the operator."""
